"""A program on hakmem under gdb, strace, valgrind, heaptrack and perf: where address space is scarce or ordered differently.

All but valgrind are programs that hakmem serves themselves.
"""

import os
import re
import subprocess

from run import ProgramFailed, tail

NEEDS = {
    '/usr/bin/gdb': 'gdb',
    '/usr/bin/heaptrack': 'heaptrack',
    '/usr/bin/lua5.4': 'lua5.4',
    '/usr/bin/perf': 'linux-perf',
    '/usr/bin/strace': 'strace',
    '/usr/bin/valgrind': 'valgrind',
}
SERVED = ('lua5.4', 'gdb', 'strace')
LEAST_BLOCKS = 50_000

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


def work(run):
    tools = {
        'gdb': ['/usr/bin/gdb', '-q', '-nx', '-batch', '-ex', 'set startup-with-shell off', '-ex', 'catch syscall exit_group',
                '-ex', 'run', '-ex', 'bt', '-ex', 'info sharedlibrary', '--args'],
        'strace': ['/usr/bin/strace', '-f', '-o', run.path('strace')],
        'callgrind': ['/usr/bin/valgrind', '--tool=callgrind', '--callgrind-out-file=' + run.path('callgrind')],
        'memcheck': ['/usr/bin/valgrind', '--tool=memcheck', '--error-exitcode=9'],
        'heaptrack': ['/usr/bin/heaptrack', '-o', run.path('heaptrack')],
    }
    if _perf_is_allowed(run):
        tools['perf'] = ['/usr/bin/perf', 'record', '-q', '-g', '-e', 'cpu-clock', '-o', run.path('perf')]
    else:
        print('tools: perf_event_open is forbidden on this machine: perf is left out', flush=True)
    results = {}
    for name, tool in tools.items():
        for program in (_PROGRAM, _THREADS):
            # Each object of Python is a block of malloc then.
            out = run.call(tool + program, env={'PYTHONMALLOC': 'malloc'})
            results[f'{name} {program[0]}'] = _result(out)
            if len(_result(out)) != 1:
                raise ProgramFailed(f'no result under {name}\n{tail(out)}')
            if name == 'gdb' and run.library and run.library.encode() not in out:
                raise ProgramFailed(f'gdb does not see {run.library}\n{tail(out)}')
    return results
