"""A program on hakmem under gdb, strace, valgrind, heaptrack and perf: where address space is scarce or ordered differently.

gdb, strace, heaptrack and perf are programs that hakmem serves as well; valgrind keeps its own memory apart.
"""

import os
import re
import subprocess

from run import ProgramFailed, tail

NEEDS = {
    '/usr/bin/flock': 'util-linux',
    '/usr/bin/gdb': 'gdb',
    '/usr/bin/heaptrack': 'heaptrack',
    '/usr/bin/lua5.4': 'lua5.4',
    '/usr/bin/perf': 'linux-perf',
    '/usr/bin/strace': 'strace',
    '/usr/bin/valgrind': 'valgrind',
}
SERVED = ('lua5.4', 'python3.11', 'gdb', 'strace')
LEAST_BLOCKS = 50_000
_LEAST_CALLS = 20_000

_WORKLOADS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'workloads')
_PROGRAM = ['/usr/bin/lua5.4', os.path.join(_WORKLOADS, 'short.lua')]
_THREADS = ['/usr/bin/python3', os.path.join(_WORKLOADS, 'short.py')]


def _result(out):
    """The program's own lines among those of a tool."""
    return re.findall(rb'^(?:lengths|made) .*$', out, re.MULTILINE)


def _perf_is_allowed(run):
    """Containers may forbid perf_event_open(2) altogether."""
    probe = subprocess.run(['/usr/bin/perf', 'record', '-q', '-e', 'cpu-clock', '-o', run.path('probe.data'), '/bin/true'],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return probe.returncode == 0


def _tools(run):
    """Name -> command. Each writes its files into the run's directory."""
    valgrind = '/usr/bin/valgrind'
    # Valgrind's memcheck puts its own malloc in the place of any other, unless it is told to leave that of libraries alone.
    leave_malloc = '--soname-synonyms=somalloc=nouserintercepts'
    # Heaptrack names its pipe in /tmp by its process id, which two sandboxes have in common: one at a time.
    one_at_a_time = ['/usr/bin/flock', '/usr/bin/heaptrack']
    tools = {
        'gdb': ['/usr/bin/gdb', '-q', '-nx', '-batch', '-ex', 'set startup-with-shell off', '-ex', 'catch syscall exit_group',
                '-ex', 'run', '-ex', 'bt', '-ex', 'info sharedlibrary', '--args'],
        'strace': ['/usr/bin/strace', '-f', '-o', run.path('strace')],
        'callgrind': [valgrind, '--tool=callgrind', '--callgrind-out-file=' + run.path('callgrind')],
        'memcheck': [valgrind, '--tool=memcheck', '--error-exitcode=9', leave_malloc],
        'heaptrack': one_at_a_time + ['/usr/bin/heaptrack', '-o', run.path('heaptrack')],
    }
    if _perf_is_allowed(run):
        tools['perf'] = ['/usr/bin/perf', 'record', '-q', '-g', '-e', 'cpu-clock', '-o', run.path('perf')]
    else:
        print('tools: perf_event_open is forbidden on this machine: perf is left out', flush=True)
    return tools


def _run_under(run, name, tool, program, **options):
    """The result of a program under a tool."""
    # Each object of Python is a block of malloc then.
    out = run.call(tool + program, env={'PYTHONMALLOC': 'malloc'}, **options)
    if len(_result(out)) != 1:
        raise ProgramFailed(f'no result under {name}\n{tail(out)}')
    if name == 'gdb' and run.library and run.library.encode() not in out:
        raise ProgramFailed(f'gdb does not see {run.library}\n{tail(out)}')
    return _result(out)


def _served(run, program):
    """How many processes of the program hakmem has served so far."""
    return run.witnessed().get(os.path.basename(os.path.realpath(program[0])), 0)


def _check_heaptrack(run):
    """Heaptrack wraps malloc and saw the program's calls."""
    out = run.call(['/usr/bin/heaptrack_print', run.path('heaptrack.zst')])
    match = re.search(rb'^calls to allocation functions: (\d+)', out, re.MULTILINE)
    if match is None or int(match.group(1)) < _LEAST_CALLS:
        raise ProgramFailed(f'heaptrack counted too few calls\n{tail(out)}')


def work(run):
    results = {}
    for name, tool in _tools(run).items():
        for program in (_PROGRAM, _THREADS):
            before = _served(run, program)
            results[f'{name} {program[0]}'] = _run_under(run, name, tool, program)
            if run.library and _served(run, program) <= before:
                raise ProgramFailed(f'{program[0]} under {name} was not served by hakmem')
            if name == 'heaptrack':
                _check_heaptrack(run)
    # As people call it, memcheck serves the program itself, and hakmem is loaded and idle: there is nothing to witness.
    replaced = ['/usr/bin/valgrind', '--tool=memcheck', '--error-exitcode=9']
    results['memcheck itself'] = _run_under(run, 'memcheck', replaced, _PROGRAM, witness=False)
    return results
