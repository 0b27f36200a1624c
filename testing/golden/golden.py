"""Compares the hit paths of a release libhakmem.so with golden files and with the budgets.

For each function the hit path is taken from the real execution (step_trace, instruction by instruction). For malloc,
free and the plain operators it is also read off the disassembly, and the two must be the same instructions in the same
order, so that a count that stands here is both what the code says and what the processor did.
"""

import argparse
import difflib
import os
import subprocess
import sys

import elf_file
import hit_path

# Function -> budget of its hit path: instructions, loads, stores, conditional branches.
BUDGETS = {
    'malloc': (12, 4, 1, 2),
    'free': (18, 6, 3, 3),
}
# Read off the disassembly as well as executed: leaf functions whose slow paths are all conditional branches.
STATIC = ('malloc', 'free', '_Znwm', '_ZdlPv', '_ZdlPvm')
# Executed only: what they do for a hit depends on more than the lists.
TRACED = ('calloc', 'realloc', 'malloc_usable_size', 'aligned_alloc', 'posix_memalign', '_ZnwmSt11align_val_t')
TITLES = {
    '_Znwm': 'operator new(size_t)',
    '_ZdlPv': 'operator delete(void*)',
    '_ZdlPvm': 'operator delete(void*, size_t)',
    '_ZnwmSt11align_val_t': 'operator new(size_t, align_val_t)',
    'calloc': 'calloc of 64 bytes',
    'realloc': 'realloc that stays in its block',
}
# Lines of a difference that are shown; more of a slow path tells nothing more.
MAX_DIFFERENCE = 60
UPDATE = './bazelw run --config=release //testing/golden:update'


def find_objdump():
    for name in ('objdump', 'llvm-objdump-19', 'llvm-objdump'):
        for directory in ('/usr/bin', '/usr/local/bin'):
            if os.access(f'{directory}/{name}', os.X_OK):
                return f'{directory}/{name}'
    sys.exit('golden: no objdump; install it with: apt-get install binutils')


def read_traces(output):
    """Function -> list of executed paths (tuples of offsets), from the output of step_trace."""
    traces = {}
    for line in output.splitlines():
        name, *offsets = line.split()
        traces.setdefault(name, []).append(tuple(int(offset, 16) for offset in offsets))
    return traces


def run_trace(tracer, probe, library):
    done = subprocess.run([tracer, f'--library={library}', f'--probe={probe}'], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'golden: step_trace failed with status {done.returncode}: {done.stderr}')
    return read_traces(done.stdout)


def list_path(path):
    return [hit_path.describe(instruction) for instruction in path]


def describe_difference(name, expected, path):
    """Why an executed path is not the expected one."""
    lines = [f'{name}: the executed path is not the path that the disassembly shows:']
    lines += difflib.unified_diff([f'{i.address:#x} {hit_path.describe(i)}' for i in expected],
                                  [f'{i.address:#x} {hit_path.describe(i)}' for i in path],
                                  'disassembly', 'executed', lineterm='')
    return '\n'.join(lines[:MAX_DIFFERENCE])


def analyse(program, functions, traces):
    """(function -> hit path, list of faults)."""
    paths, faults = {}, []
    for name in STATIC + TRACED:
        if name not in functions:
            faults.append(f'{name}: the library does not export it')
            continue
        missing = [offset for offsets in traces.get(name, []) for offset in offsets if offset not in program]
        if missing:
            faults.append(f'{name}: executed {missing[0]:#x}, which is no instruction of the disassembly')
            continue
        executed = [[program[offset] for offset in offsets] for offsets in traces.get(name, [])]
        if not executed:
            faults.append(f'{name}: nothing was traced')
            continue
        expected = executed[0]
        if name in STATIC:
            try:
                expected = hit_path.follow(program, functions[name])
            except hit_path.HitPathError as error:
                faults.append(f'{name}: {error}')
        paths[name] = expected
        for path in executed:
            if path != expected:
                faults.append(describe_difference(name, expected, path))
                break
    return paths, faults


def check_budget(name, counts):
    faults = []
    if name in BUDGETS:
        for what, value, budget in zip(('instructions', 'loads', 'stores', 'branches'), counts, BUDGETS[name]):
            if value > budget:
                faults.append(f'{name}: {value} {what} on the hit path, the budget is {budget}')
    if name in STATIC:
        # The fast paths make no call and no atomic operation.
        if counts.calls:
            faults.append(f'{name}: {counts.calls} calls on the hit path')
        if counts.atomics:
            faults.append(f'{name}: {counts.atomics} atomic operations on the hit path')
    return faults


def render(name, compiler, counts, path):
    lines = [f'# Hit path of {TITLES.get(name, name)} in the release library; written by:', f'#   {UPDATE}']
    lines += [f'compiler: {compiler}', f'symbol: {name}']
    lines += [f'{field}: {value}' for field, value in counts._asdict().items()]
    return '\n'.join(lines + [''] + list_path(path)) + '\n'


def header_field(text, field):
    for line in text.splitlines():
        if line.startswith(field + ': '):
            return line[len(field) + 2:]
    return ''


def check_golden(directory, name, text):
    file = os.path.join(directory, name + '.golden')
    if not os.path.exists(file):
        return [f'{name}: no golden file {name}.golden; write it with: {UPDATE}']
    with open(file) as stream:
        golden = stream.read()
    if golden == text:
        return []
    known, used = header_field(golden, 'compiler'), header_field(text, 'compiler')
    if known != used:
        print(f'{name}: the golden file is for {known}, the library was built by {used}: only budgets are compared')
        return []
    if name in TRACED:
        # Longer paths through more of the allocator: their instructions may change, their number may not grow.
        grown = [f'{field} {header_field(golden, field)} -> {header_field(text, field)}' for field in hit_path.Counts._fields
                 if int(header_field(text, field)) > int(header_field(golden, field))]
        return [f'{name}: the hit path grew: {", ".join(grown)}; when that is meant: {UPDATE}'] if grown else []
    difference = '\n'.join(difflib.unified_diff(golden.splitlines(), text.splitlines(), name + '.golden', 'library',
                                                lineterm=''))
    return [f'{name}: the hit path changed; when that is meant: {UPDATE}\n{difference}']


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--library', required=True, help='the release libhakmem.so')
    parser.add_argument('--tracer', required=True, help='the program step_trace')
    parser.add_argument('--probe', required=True, help='the program hit_probe')
    parser.add_argument('--golden', default=os.path.dirname(os.path.abspath(__file__)), help='directory of golden files')
    parser.add_argument('--update', action='store_true', help='write the golden files instead of comparing')
    arguments = parser.parse_args()

    library = os.path.realpath(arguments.library)
    elf = elf_file.ElfFile(library)
    program = hit_path.disassemble(find_objdump(), library)
    traces = run_trace(arguments.tracer, arguments.probe, library)
    paths, faults = analyse(program, elf.exported_functions(), traces)
    for name, path in paths.items():
        try:
            counts = hit_path.count(path)
            text = render(name, elf.compiler(), counts, path)
        except hit_path.HitPathError as error:
            faults.append(f'{name}: {error}')
            continue
        print(f'{TITLES.get(name, name)}: {counts.instructions} instructions / {counts.loads} loads / {counts.stores} '
              f'stores / {counts.branches} branches (executed {len(traces.get(name, []))} times)')
        problems = check_budget(name, counts)
        if arguments.update:
            with open(os.path.join(arguments.golden, name + '.golden'), 'w') as stream:
                stream.write(text)
        else:
            problems += check_golden(arguments.golden, name, text)
        if problems:
            print('\n'.join('    ' + line for line in list_path(path)))
        faults += problems
    for fault in faults:
        print('FAULT ' + fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
