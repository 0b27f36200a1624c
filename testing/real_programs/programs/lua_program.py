"""lua5.4: tables, strings, closures and coroutines under its collector, whose every step is realloc or free."""

import os

NEEDS = {'/usr/bin/lua5.4': 'lua5.4'}
SERVED = ('lua5.4',)
LEAST_BLOCKS = 500_000

_SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'workloads', 'work.lua')


def work(run):
    results = {}
    for mode in ('incremental', 'generational'):
        results[mode] = run.call(['/usr/bin/lua5.4', _SCRIPT, mode, str(6 * run.scale)]).decode()
    return results
