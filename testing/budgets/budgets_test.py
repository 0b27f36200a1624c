"""Tests that budgets.py notices what is over its budget; the measurements are replaced by given figures."""

import contextlib
import io
import types
import unittest
from unittest import mock

import budgets


class FakeProbe:
    """A probe with given resident sizes, one for each look, and given lines."""

    def __init__(self, sizes, lines=(), most=0):
        self._sizes = list(sizes)
        self._most = most
        self._lines = list(lines)

    def wait(self, phase):
        return ['size 10000000 blocks 25'] if phase in ('touched', 'full') else ['passed 1000000']

    def go_on(self):
        pass

    def end(self):
        pass

    def kill(self):
        pass

    def lines(self):
        return self._lines

    def resident(self):
        return self._sizes.pop(0)

    def most_resident(self):
        return self._most

    def anonymous(self):
        return 0

    def virtual(self):
        return 10 * budgets.MB


def holds(row, *probes):
    """Whether the row's budget holds when the probes that it starts are these."""
    report = budgets.Report()
    probes = list(probes)
    with mock.patch.object(budgets, 'Probe', lambda *_: probes.pop(0)), contextlib.redirect_stdout(io.StringIO()):
        budgets.ROWS[row](types.SimpleNamespace(), report)
    return report.good


class RowTest(unittest.TestCase):

    def test_idle(self):
        def probes(with_library):
            return [FakeProbe([2 * budgets.MB]) for _ in range(5)] + [FakeProbe([with_library]) for _ in range(5)]

        self.assertTrue(holds('idle', *probes(2.5 * budgets.MB)))
        self.assertFalse(holds('idle', *probes(2.51 * budgets.MB)))

    def test_thread(self):
        def probes(end):
            once_off = FakeProbe([0, 2 * end])
            return [once_off] + [FakeProbe([0, end]) for _ in range(4)] + [FakeProbe([0, 0]) for _ in range(10)]

        self.assertTrue(holds('thread', *probes(200 * 20 * budgets.KB)))
        self.assertFalse(holds('thread', *probes(200 * 21 * budgets.KB)))

    def test_burst(self):
        full, good, bad = 300 * budgets.MB, 24 * budgets.MB, 26 * budgets.MB

        def probes(*runs):
            return [FakeProbe(run) for run in runs]

        self.assertTrue(holds('pool-burst', *probes([full, good, good], [full, bad, bad], [full, good, good])))
        self.assertFalse(holds('pool-burst', *probes([full, bad, good], [full, bad, good], [full, good, good])))
        self.assertFalse(holds('pool-burst', *probes([full, good, bad], [full, good, good], [full, good, bad])))
        with self.assertRaises(SystemExit):
            holds('pool-burst', FakeProbe([249 * budgets.MB, good, good]))

    def test_left_burst(self):
        full, good, bad = 80 * budgets.MB, 20 * budgets.MB, 21 * budgets.MB
        self.assertTrue(holds('left-burst', FakeProbe([0] + [full, good] * 3)))
        self.assertFalse(holds('left-burst', FakeProbe([0] + [full, good] * 2 + [full, bad])))
        with self.assertRaises(SystemExit):
            holds('left-burst', FakeProbe([good, full - budgets.MB]))

    def test_pair(self):
        self.assertTrue(holds('pair', FakeProbe([5 * budgets.MB] * 6)))
        self.assertFalse(holds('pair', FakeProbe([17 * budgets.MB] * 6)))
        self.assertFalse(holds('pair', FakeProbe([second * budgets.MB for second in range(6)])))

    def test_sparse(self):
        pages, good = 25 * budgets.PAGE, 19 * budgets.MB
        self.assertTrue(holds('sparse', FakeProbe([0, good + pages] * 5)))
        self.assertFalse(holds('sparse', FakeProbe([0, good + pages] * 4 + [0, 21 * budgets.MB + pages])))

    def test_filled(self):
        good, bad = 300 * budgets.MB, 301 * budgets.MB  # of 250 MB
        self.assertTrue(holds('filled', FakeProbe([0, good] * 13)))
        self.assertFalse(holds('filled', FakeProbe([0, good] * 12 + [0, bad])))

    def test_served(self):
        most = 24 * budgets.MB
        self.assertTrue(holds('served', FakeProbe([12 * budgets.MB], most=most)))
        self.assertFalse(holds('served', FakeProbe([13 * budgets.MB], most=most)))
        with self.assertRaises(SystemExit):
            holds('served', FakeProbe([12 * budgets.MB], most=most - 1))

    def test_waste(self):
        self.assertTrue(holds('waste', FakeProbe([], ['size 1024 usable 1152 stride 1152', 'size 8192 usable 8192 stride 0'])))
        self.assertFalse(holds('waste', FakeProbe([], ['size 1024 usable 1153 stride 1152'])))
        self.assertFalse(holds('waste', FakeProbe([], ['size 1024 usable 1152 stride 1153'])))


if __name__ == '__main__':
    unittest.main()
