"""perl: hashes, strings, regular expressions and sorting, in one interpreter, in threads and in forked children."""

import os

NEEDS = {'/usr/bin/perl': 'perl', '/usr/bin/prove': 'perl'}
SERVED = ('perl',)
LEAST_BLOCKS = 500_000

_SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'workloads', 'work.pl')


def work(run):
    return {
        mode: run.call(['/usr/bin/perl', _SCRIPT, mode, str(3 * run.scale)]).decode()
        for mode in ('alone', 'threads', 'forks')
    }
