"""Runs real Debian programs on libhakmem.so and compares what they produce with a run without it.

Each program does the same work twice. The results must be equal, each process of the second run must have been served
by hakmem (a preloaded witness asks hakmem about a block of the process's malloc), and hakmem must have reported nothing.
"""

import argparse
import importlib
import json
import os
import sys
import time

import run as runs

PROGRAMS = ('clang', 'compress', 'gcc', 'git', 'lua', 'perl', 'python', 'redis', 'sqlite', 'tools')
MAX_REPORTS = 10
INSTALL = './bazelw run //testing/real_programs:install'


def find_missing(program):
    """The Debian packages of the files that the program needs and the machine has not."""
    return sorted({package for path, package in program.NEEDS.items() if not os.path.exists(path)})


def do(program, arguments, library):
    """(results, seconds, witnessed programs, reports) of one run."""
    run = runs.Run(library, arguments.witness, arguments.wrapper, arguments.setting, arguments.scale)
    try:
        begin = time.monotonic()
        results = program.work(run)
        seconds = time.monotonic() - begin
        return results, seconds, run.witnessed(), run.reports()
    finally:
        run.close()


def compare(plain, preloaded):
    """One line for each result that differs."""
    faults = []
    for name in sorted(set(plain) | set(preloaded)):
        if plain.get(name) != preloaded.get(name):
            faults.append(f'{name}: {shorten(plain.get(name))} without hakmem, {shorten(preloaded.get(name))} with it')
    return faults


def shorten(value):
    text = str(value)
    return text if len(text) <= 400 else text[:200] + ' … ' + text[-200:]


def read_reports(text):
    """(faults, blocks) from what hakmem wrote: one JSON object a process, and messages, which must not be.

    Counted are blocks that left their slabs: a block that goes round in a thread's lists counts once.
    """
    faults, served = [], 0
    for line in text.splitlines():
        try:
            statistics = json.loads(line)
            served += statistics['blocks'] + statistics['huge_allocated']
        except (ValueError, TypeError, KeyError):
            faults.append(f'hakmem reported: {shorten(line)}')
    if len(faults) > MAX_REPORTS:
        faults[MAX_REPORTS:] = [f'and {len(faults) - MAX_REPORTS} more lines of hakmem']
    return faults, served


def check(name, arguments):
    """Runs one program both ways. Returns the list of faults."""
    program = importlib.import_module(f'programs.{name}_program')
    missing = find_missing(program)
    if missing:
        return [f'missing packages: {" ".join(missing)}. Install them with: {INSTALL}']
    faults = []
    try:
        library = None
        plain, plain_seconds, _, _ = do(program, arguments, library)
        library = arguments.library
        results, seconds, witnessed, reports = do(program, arguments, library)
    except runs.ProgramFailed as error:
        return [f'{"with" if library else "without"} hakmem: {error}']
    faults += compare(plain, results)
    served = 0
    if not arguments.any_allocator:
        report_faults, served = read_reports(reports)
        faults += report_faults
        for expected in program.SERVED:
            if not witnessed.get(expected):
                faults.append(f'no process of {expected} was served by hakmem; served were: {witnessed}')
        if served < program.LEAST_BLOCKS:
            faults.append(f'hakmem served {served} blocks, at least {program.LEAST_BLOCKS} were expected')
    print(f'{name}: {len(results)} results {"equal" if not faults else "compared"}, {sum(witnessed.values())} processes '
          f'and {served:,} blocks of hakmem; {seconds:.1f} s with it, {plain_seconds:.1f} s without', flush=True)
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--library', required=True, help='libhakmem.so')
    parser.add_argument('--witness', default='', help='libwitness.so; needed to prove that hakmem served')
    parser.add_argument('--scale', type=int, default=1, help='how many times the usual work is done')
    parser.add_argument('--setting', action='append', default=[], metavar='NAME=VALUE',
                        help='an environment variable of the programs that hakmem serves; may be given often')
    parser.add_argument('--wrapper', default='', help='a command to run the served programs under, such as "strace -f"')
    parser.add_argument('--any_allocator', action='store_true', help='try another allocator, for comparison')
    parser.add_argument('programs', nargs='+', choices=PROGRAMS + ('all',), help='what to run')
    arguments = parser.parse_args()
    arguments.library = os.path.realpath(arguments.library)
    if arguments.witness:
        arguments.witness = os.path.realpath(arguments.witness)
    elif not arguments.any_allocator:
        parser.error('--witness is needed')
    bad = False
    for name in PROGRAMS if 'all' in arguments.programs else arguments.programs:
        for fault in check(name, arguments):
            bad = True
            print(f'FAULT {name}: {fault}', file=sys.stderr, flush=True)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
