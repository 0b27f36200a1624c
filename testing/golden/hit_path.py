"""Follows the hit path of a function through a disassembly and counts what it does.

The hit path is what runs when nothing is missing: conditional branches lead to slow paths and are not taken, direct jumps
are followed, `ret` ends it. Counted are instructions, loads, stores, conditional branches, calls and atomic
operations. A memory operand of an arithmetic instruction counts as what the processor does: `inc mem` is one load and one
store, `cmp mem, reg` one load. `lea`, `nop` and prefetches only look like memory. `ret` is an instruction, its pop of the
return address is not counted as a load.
"""

import collections
import re
import subprocess

MAX_PATH = 400

Instruction = collections.namedtuple('Instruction', 'address mnemonic operands')
Counts = collections.namedtuple('Counts', 'instructions loads stores branches calls atomics')


class HitPathError(Exception):
    """The path cannot be followed or an instruction is not understood."""


_LINE = re.compile(r'^\s*([0-9a-f]+):\s+(.*?)\s*$')
_PREFIXES = ('lock', 'rep', 'repz', 'repnz', 'repe', 'repne', 'bnd', 'notrack', 'data16', 'cs', 'ds', 'es', 'ss',
             'addr32', 'rex.W')
_NO_ACCESS = re.compile(r'^(lea|nop[wlq]?|prefetch\w*|endbr64|fnop)$')
# Destination in memory is written only.
_WRITE_ONLY = re.compile(r'^(v?mov\w*|set\w+|stos[bwdq]?|v?extract\w+|v?pextr\w|fst\w*|movnt\w+|v?stmxcsr)$')
# Destination in memory is read only.
_READ_ONLY = re.compile(r'^(cmp|test|bt|v?u?comis[sd]|v?ptest|push|call|jmp|mul|imul|div|idiv|fld\w*|cmovn?\w+)$')
# Destination in memory is read and written.
_READ_WRITE = re.compile(
    r'^(add|sub|adc|sbb|and|or|xor|inc|dec|neg|not|sh[lr]d?|sa[lr]|ro[lr]|rc[lr]|xchg|xadd|cmpxchg\w*|bt[src])$')


def parse(text):
    """Address -> Instruction from `objdump -d -M intel --no-show-raw-insn` of GNU or LLVM."""
    program = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        body = match.group(2).split('#')[0].replace('\t', ' ').strip()
        if not body or body.startswith('<'):
            continue
        address = int(match.group(1), 16)
        words = body.split(None, 1)
        mnemonic, operands = words[0], words[1] if len(words) > 1 else ''
        while mnemonic in _PREFIXES and operands:
            words = operands.split(None, 1)
            mnemonic, operands = mnemonic + ' ' + words[0], words[1] if len(words) > 1 else ''
            if words[0] not in _PREFIXES:
                break
        program[address] = Instruction(address, mnemonic, operands.strip())
    return program


def disassemble(objdump, library):
    command = [objdump, '-d', '-M', 'intel', '--no-show-raw-insn', library]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    program = parse(done.stdout)
    if not program:
        raise HitPathError(f'{objdump} printed no instruction of {library}')
    return program


def split_operands(operands):
    """Splits at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(operands):
        if char in '[(':
            depth += 1
        elif char in '])':
            depth -= 1
        elif char == ',' and depth == 0:
            parts.append(operands[start:index].strip())
            start = index + 1
    parts.append(operands[start:].strip())
    return [part for part in parts if part]


def is_memory(operand):
    return '[' in operand or re.search(r'\b[cdefgs]s:', operand) is not None


def base_mnemonic(instruction):
    return instruction.mnemonic.split()[-1]


def is_conditional(instruction):
    name = base_mnemonic(instruction)
    return (name.startswith('j') and name != 'jmp') or name.startswith('loop')


def branch_target(instruction):
    """Address of a direct jump or call; None when it is indirect."""
    match = re.match(r'^(?:0x)?([0-9a-f]+)(?:\s+<.*>)?$', instruction.operands)
    return int(match.group(1), 16) if match else None


def accesses(instruction):
    """(loads, stores) of one instruction. Raises HitPathError when an access to memory is not understood."""
    name = base_mnemonic(instruction)
    operands = split_operands(instruction.operands)
    memory = [is_memory(operand) for operand in operands]
    if _NO_ACCESS.match(name) or name == 'ret' or is_conditional(instruction):
        return (0, 0)
    if name in ('push', 'call'):
        return (1 if any(memory) else 0, 1)
    if name in ('pop', 'leave'):
        return (1, 1 if any(memory) else 0)
    if name.startswith('movs') and memory.count(True) == 2:
        return (1, 1)
    if not any(memory):
        return (0, 0)
    if memory[0] and len(operands) == 1:
        if _READ_ONLY.match(name):
            return (1, 0)
    elif not memory[0]:
        return (1, 1) if name in ('xchg', 'xadd') else (1, 0)
    if _READ_ONLY.match(name):
        return (1, 0)
    if _WRITE_ONLY.match(name):
        return (0, 1)
    if _READ_WRITE.match(name):
        return (1, 1)
    raise HitPathError(f'memory access of `{instruction.mnemonic} {instruction.operands}` is not known')


def is_atomic(instruction):
    if instruction.mnemonic.startswith('lock'):
        return True
    return base_mnemonic(instruction) == 'xchg' and accesses(instruction) != (0, 0)


def count(path):
    loads = stores = branches = calls = atomics = 0
    for instruction in path:
        load, store = accesses(instruction)
        loads += load
        stores += store
        branches += is_conditional(instruction)
        calls += base_mnemonic(instruction) == 'call'
        atomics += is_atomic(instruction)
    return Counts(len(path), loads, stores, branches, calls, atomics)


def follow(program, start):
    """The hit path from `start` to the `ret` that leaves the function, as a list of instructions."""
    ordered = sorted(program)
    following = dict(zip(ordered, ordered[1:]))
    path, returns, seen = [], [], set()
    address = start
    while len(path) < MAX_PATH:
        if address not in program:
            raise HitPathError(f'the path reaches {address:#x}, which is outside the disassembled code')
        if address in seen:
            raise HitPathError(f'the path comes back to {address:#x}: a loop')
        seen.add(address)
        instruction = program[address]
        path.append(instruction)
        name = base_mnemonic(instruction)
        if name in ('ret', 'retq'):
            if not returns:
                return path
            address = returns.pop()
        elif name in ('ud2', 'int3', 'hlt', 'ud1'):
            raise HitPathError(f'the path ends in `{name}` at {address:#x}')
        elif name == 'jmp':
            target = branch_target(instruction)
            if target is None or target not in program:
                raise HitPathError(f'the path leaves the library at {address:#x}: jmp {instruction.operands}')
            address = target
        elif name == 'call' and branch_target(instruction) in program:
            returns.append(following.get(address))
            address = branch_target(instruction)
        else:
            address = following.get(address)
            if address is None:
                raise HitPathError('the path runs past the end of the code')
    raise HitPathError(f'the path is longer than {MAX_PATH} instructions')


def normalise(instruction):
    """The instruction as text without addresses, so that a change elsewhere in the library leaves it as it is."""
    operands = instruction.operands
    if is_conditional(instruction):
        operands = '<slow path>'
    elif base_mnemonic(instruction) in ('jmp', 'call') and branch_target(instruction) is not None:
        operands = '<code>'
    operands = re.sub(r'\[rip\s*[+-]\s*(0x)?[0-9a-f]+\]', '[rip + <data>]', operands)
    operands = re.sub(r'\s*<[^>]*[+@][^>]*>', '', operands).replace(' PTR ', ' ptr ')
    operands = ', '.join(split_operands(operands))
    return f'{instruction.mnemonic} {operands}'.strip()


def describe(instruction):
    """Normalised text and, in a second column, what it counts as besides an instruction."""
    loads, stores = accesses(instruction)
    notes = ['load'] * loads + ['store'] * stores
    if is_conditional(instruction):
        notes.append('branch')
    if base_mnemonic(instruction) == 'call':
        notes.append('call')
    if is_atomic(instruction):
        notes.append('atomic')
    return f'{normalise(instruction):<60} {" ".join(notes)}'.rstrip()
