"""Measures one row of hakmem's memory budgets on the release library, prints it and fails when it is exceeded.

What is measured is the whole resident set (Rss of /proc/PID/smaps_rollup, which walks the page tables and so is exact),
less what the same program has resident without the library where the row says "above the C library's own". The shared
pages of the library's file are left in: this is the stricter reading, although other processes share them.

1 MB is 1,000,000 bytes, 1 KB is 1,000 bytes.
"""

import argparse
import os
import statistics
import subprocess
import sys

KB, MB = 1000, 1000 * 1000

IDLE_RSS = 0.5 * MB
START_VIRTUAL = 1000 * MB
THREAD_RSS = 20 * KB
FREED_RSS = 25 * MB
# Of what a thread has allocated that sleeps, once another one has freed it.
LEFT_RATIO = 0.25
LEFT_BYTES = 60 * MB
LEFT_SIZES = 3
WASTE = 0.125
# A producer and a consumer hold at most 4096 blocks of 16 to 527 bytes, under 0.6 MB; the rest is slabs that are partly
# used and caches of two threads.
PAIR_RSS = 16 * MB
PAIR_GROWTH = 2 * MB
# Beyond the first page of each block: what was in huge pages before anything was known of the blocks.
SPARSE_RSS = 20 * MB
SPARSE_SIZES = 5
PAGE = 4096
# What is written of blocks of one size takes so much: an eighth inside of blocks, and what does not fill huge pages.
FILLED_RATIO = 1.2
FILLED_SIZES = 13
# What stays of four threads' buffers, tens of MB that were taken and freed again and again.
SERVED_RSS = 12 * MB
SERVED_MOST = 24 * MB
# A burst must really have been one: its blocks' own bytes.
BURST_BYTES = 250 * MB


class Probe:
    """memory_probe in one mode, with the library preloaded or without (library None)."""

    def __init__(self, arguments, mode, preload=True):
        environment = {key: value for key, value in os.environ.items() if not key.startswith('HAKMEM_')}
        environment.pop('LD_PRELOAD', None)
        if preload:
            environment['LD_PRELOAD'] = arguments.library
        self._process = subprocess.Popen([arguments.probe, mode], env=environment, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, bufsize=1)
        words = self._line().split()
        if preload and not arguments.any_allocator and words[-1] != '1':
            sys.exit(f'budgets: hakmem does not serve the probe: malloc is defined by {words[1]}')
        if preload and os.path.realpath(words[1]) != os.path.realpath(arguments.library):
            sys.exit(f'budgets: malloc is defined by {words[1]}, not by {arguments.library}')
        if not preload and 'libc.so' not in words[1]:
            sys.exit(f'budgets: without the library malloc is defined by {words[1]}')

    def _line(self):
        line = self._process.stdout.readline().strip()
        if not line or line.startswith('error:'):
            sys.exit(f'budgets: the probe failed: {line or self._process.wait()}')
        return line

    def wait(self, phase):
        """Waits until the probe is in `phase`; returns the lines it printed before."""
        lines = []
        while True:
            line = self._line()
            if line == phase:
                return lines
            lines.append(line)

    def go_on(self):
        self._process.stdin.write('\n')
        self._process.stdin.flush()

    def lines(self):
        return self._process.stdout.read().splitlines()

    def end(self):
        """Lets the probe run to its end, which must be a good one."""
        status = self._process.wait(timeout=60)
        self._close()
        if status != 0:
            sys.exit(f'budgets: the probe ended with status {status}')

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self):
        self._process.stdin.close()
        self._process.stdout.close()

    def resident(self):
        return self._field('smaps_rollup', 'Rss')

    def most_resident(self):
        return self._field('status', 'VmHWM')

    def anonymous(self):
        return self._field('smaps_rollup', 'Anonymous')

    def virtual(self):
        return self._field('status', 'VmSize')

    def _field(self, file, field):
        with open(f'/proc/{self._process.pid}/{file}') as stream:
            for line in stream:
                if line.startswith(field + ':'):
                    return int(line.split()[1]) * 1024
        sys.exit(f'budgets: no {field} in /proc/PID/{file}')


class Report:
    """Prints each row with its budget and remembers whether all held."""

    def __init__(self):
        self.good = True

    def row(self, what, value, budget, text):
        good = value <= budget
        self.good = self.good and good
        print(f'{"ok  " if good else "OVER"} {what}: {text(value)}, budget {text(budget)}', flush=True)

    def note(self, text):
        print(f'     {text}', flush=True)


def megabytes(value):
    return f'{value / MB:.2f} MB'


def kilobytes(value):
    return f'{value / KB:.1f} KB'


def percent(value):
    return f'{value * 100:.2f} %'


def measure_idle(arguments, report):
    figures = {}
    for preload in (False, True):
        samples = []
        for _ in range(5):
            probe = Probe(arguments, 'idle', preload)
            probe.wait('idle')
            samples.append((probe.resident(), probe.anonymous(), probe.virtual()))
            probe.go_on()
            probe.end()
        # Where the kernel maps file pages around a fault differs from run to run; the middle one is typical.
        figures[preload] = [sorted(column)[2] for column in zip(*samples)]
    rss, anonymous, virtual = figures[True]
    report.row('resident memory of an idle process above the C library\'s own', rss - figures[False][0], IDLE_RSS,
               megabytes)
    report.note(f'of it anonymous: {megabytes(anonymous - figures[False][1])}')
    report.row('virtual size at start', virtual, START_VIRTUAL, megabytes)
    report.note(f'without the library: {megabytes(figures[False][2])}')


def thread_slope_once(arguments, mode, preload):
    probe = Probe(arguments, mode, preload)
    probe.wait('40 threads')
    before = probe.resident()
    probe.go_on()
    probe.wait('240 threads')
    after = probe.resident()
    probe.kill()
    return (after - before) / 200


def thread_slope(arguments, mode, preload):
    """The median of five: on a busy machine, threads that begin at the same moment each set up a superslab now and then."""
    return statistics.median(thread_slope_once(arguments, mode, preload) for _ in range(5))


def measure_thread(arguments, report):
    report.row('resident memory of a thread that made two small allocations', thread_slope(arguments, 'threads', True),
               THREAD_RSS, kilobytes)
    report.note(f'its stack and control block alone: {kilobytes(thread_slope(arguments, "bare-threads", True))}; '
                f'the C library\'s allocator: {kilobytes(thread_slope(arguments, "threads", False))}')


def burst(arguments, mode, rounds):
    """For each round of one process: resident bytes in use, freed, and after a sleep."""
    probe = Probe(arguments, mode)
    probe.wait('start')
    figures = []
    for _ in range(rounds):
        sizes = []
        for phase in ('full', 'freed', 'slept'):
            probe.go_on()
            probe.wait(phase)
            sizes.append(probe.resident())
        if sizes[0] < BURST_BYTES:
            sys.exit(f'budgets: the burst took only {megabytes(sizes[0])}')
        figures.append(sizes)
    probe.go_on()
    probe.end()
    return figures


def measure_burst(arguments, report, mode, what, rounds, processes=1):
    """Medians over several processes where threads run side by side: where each stops is the scheduler's doing."""
    runs = [burst(arguments, mode, rounds) for _ in range(processes)]
    for number in range(rounds):
        full, freed, slept = (statistics.median(run[number][i] for run in runs) for i in range(3))
        report.row(f'{what}, at once, round {number + 1}', freed, FREED_RSS, megabytes)
        report.row(f'{what}, after 1.2 s of sleep', slept, FREED_RSS, megabytes)
        report.note(f'while they were in use: {megabytes(full)}')


def measure_own_burst(arguments, report):
    measure_burst(arguments, report, 'own-burst', 'resident after 250 MB of small blocks were freed', 3)


def measure_exited_burst(arguments, report):
    measure_burst(arguments, report, 'exited-burst',
                  'resident after 250 MB of small blocks of exited threads were freed by another', 2)


def measure_pool_burst(arguments, report):
    measure_burst(arguments, report, 'pool-burst', 'resident after 250 MB of small blocks were freed by a pool\'s threads', 1,
                  processes=3)


def measure_left_burst(arguments, report):
    probe = Probe(arguments, 'left-burst')
    probe.wait('start')
    start = probe.resident()
    for _ in range(LEFT_SIZES):
        probe.go_on()
        size = probe.wait('full')[-1].split()[1]
        full = probe.resident()
        if full - start < LEFT_BYTES:
            sys.exit(f'budgets: the burst took only {megabytes(full - start)}')
        probe.go_on()
        probe.wait('slept')
        report.row(f'resident after {megabytes(full)} in blocks of {size} bytes of a thread that sleeps were freed by another',
                   probe.resident(), full * LEFT_RATIO, megabytes)
    probe.kill()


def measure_pair(arguments, report):
    probe = Probe(arguments, 'pair')
    sizes, passed = [], 0
    for _ in range(6):
        passed = int(probe.wait('running')[-1].split()[1])
        sizes.append(probe.resident())
        probe.go_on()
    probe.end()
    if passed < 500_000:
        sys.exit(f'budgets: only {passed} blocks went from the producer to the consumer')
    report.row(f'resident memory of a producer and a consumer after {passed:,} blocks', max(sizes), PAIR_RSS, megabytes)
    report.row('its growth from the first second to the last', sizes[-1] - sizes[0], PAIR_GROWTH, megabytes)


def one_size_at_a_time(arguments, mode, sizes):
    """Of each size the probe goes through: the size, how many blocks it has taken, and the resident bytes that brought."""
    probe = Probe(arguments, mode)
    probe.wait('start')
    for _ in range(sizes):
        before = probe.resident()
        probe.go_on()
        words = probe.wait('touched')[-1].split()
        yield int(words[1]), int(words[3]), probe.resident() - before
        probe.go_on()
        probe.wait('freed')
    probe.go_on()
    probe.end()


def measure_sparse(arguments, report):
    for size, blocks, resident in one_size_at_a_time(arguments, 'sparse', SPARSE_SIZES):
        report.row(f'resident memory of {blocks:,} blocks of {size:,} bytes with 64 in use, beyond a page of each',
                   resident - blocks * PAGE, SPARSE_RSS, megabytes)


def measure_filled(arguments, report):
    for size, blocks, resident in one_size_at_a_time(arguments, 'filled', FILLED_SIZES):
        report.row(f'resident memory of {blocks:,} full blocks of {size:,} bytes, of their bytes',
                   resident / (size * blocks), FILLED_RATIO, percent)


def measure_served(arguments, report):
    probe = Probe(arguments, 'served')
    probe.wait('ended')
    resident, most = probe.resident(), probe.most_resident()
    if most < SERVED_MOST:
        sys.exit(f'budgets: the threads took only {megabytes(most)}')
    report.row(f'resident after four threads that took and freed buffers again and again, {megabytes(most)} at the most, '
               'have ended', resident, SERVED_RSS, megabytes)
    probe.go_on()
    probe.end()


def measure_waste(arguments, report):
    probe = Probe(arguments, 'waste')
    rows = [line.split() for line in probe.lines()]
    probe.end()
    worst = []
    for column, what in ((3, 'usable size'), (5, 'distance between blocks')):
        ratios = [((int(row[column]) - int(row[1])) / int(row[1]), row) for row in rows if int(row[column]) > 0]
        ratio, row = max(ratios)
        worst.append((what, ratio, row, len(ratios)))
    for what, ratio, row, count in worst:
        report.row(f'wasted bytes inside blocks above 128 B by {what}, worst of {count} sizes', ratio, WASTE, percent)
        report.note(' '.join(row))


ROWS = {
    'idle': measure_idle,
    'thread': measure_thread,
    'own-burst': measure_own_burst,
    'exited-burst': measure_exited_burst,
    'pool-burst': measure_pool_burst,
    'left-burst': measure_left_burst,
    'pair': measure_pair,
    'sparse': measure_sparse,
    'filled': measure_filled,
    'served': measure_served,
    'waste': measure_waste,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--library', required=True, help='the library to measure')
    parser.add_argument('--probe', required=True, help='the program memory_probe')
    parser.add_argument('--any_allocator', action='store_true', help='measure another allocator, for comparison')
    parser.add_argument('rows', nargs='+', choices=sorted(ROWS), help='what to measure')
    arguments = parser.parse_args()
    arguments.library = os.path.realpath(arguments.library)
    if not os.path.exists('/proc/self/smaps_rollup'):
        sys.exit('budgets: this kernel has no /proc/PID/smaps_rollup (Linux 4.14 or later is needed)')
    report = Report()
    for row in arguments.rows:
        ROWS[row](arguments, report)
    return 0 if report.good else 1


if __name__ == '__main__':
    sys.exit(main())
