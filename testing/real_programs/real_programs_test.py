"""Tests that the driver notices what it is there for: differing results, another malloc, messages, missing packages."""

import contextlib
import io
import json
import os
import time
import types
import unittest
from unittest import mock

import real_programs
import run as runs

STATISTICS = json.dumps({'allocator': 'hakmem', 'blocks': 900, 'huge_allocated': 100}) + '\n'


def is_running(pid):
    """Whether a process exists and is no zombie."""
    try:
        with open(f'/proc/{pid}/stat') as stream:
            return stream.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


class FakeRun:
    """A run whose witness and report are given."""

    witness = {'tool': 1}
    report = STATISTICS

    def __init__(self, library, *_):
        self.library = library

    def witnessed(self):
        return self.witness

    def reports(self):
        return self.report

    def close(self):
        pass


def faults_of(work, least_blocks=1000, needs=None, **fake):
    """What the driver finds wrong with a program whose work is the given function."""
    program = types.SimpleNamespace(NEEDS=needs or {}, SERVED=('tool',), LEAST_BLOCKS=least_blocks, work=work)
    arguments = types.SimpleNamespace(library='/lib/libhakmem.so', witness='w', wrapper='', setting=[], scale=1,
                                      any_allocator=False)
    with mock.patch.object(real_programs.importlib, 'import_module', lambda _: program), \
         mock.patch.object(runs, 'Run', type('GivenRun', (FakeRun,), fake)), contextlib.redirect_stdout(io.StringIO()):
        return real_programs.check('tool', arguments)


def fail_with_library(run):
    if run.library:
        raise runs.ProgramFailed('tool ended with status -11')
    return {}


class CheckTest(unittest.TestCase):

    def test_equal_results_are_no_fault(self):
        self.assertEqual(faults_of(lambda run: {'sum': 1}), [])

    def test_different_missing_and_additional_results_are_faults(self):
        self.assertEqual(len(faults_of(lambda run: {'sum': run.library})), 1)
        self.assertEqual(len(faults_of(lambda run: {} if run.library else {'sum': 1})), 1)
        self.assertEqual(len(faults_of(lambda run: {'sum': 1} if run.library else {})), 1)

    def test_a_crash_is_a_fault(self):
        self.assertEqual(faults_of(fail_with_library), ['with hakmem: tool ended with status -11'])

    def test_an_unserved_program_is_a_fault(self):
        self.assertIn('no process of tool was served', faults_of(lambda run: {}, witness={'other': 1})[0])

    def test_too_few_blocks_are_a_fault(self):
        self.assertIn('1000 blocks, at least 1001', faults_of(lambda run: {}, least_blocks=1001)[0])

    def test_a_message_of_hakmem_is_a_fault(self):
        faults = faults_of(lambda run: {}, report=STATISTICS + 'hakmem: free of a foreign pointer 0x1\n')
        self.assertEqual(faults, ['hakmem reported: hakmem: free of a foreign pointer 0x1'])

    def test_many_messages_are_cut_short(self):
        self.assertEqual(len(faults_of(lambda run: {}, report=STATISTICS + 'message\n' * 1000)), 11)

    def test_missing_packages_are_named_with_the_command(self):
        faults = faults_of(lambda run: {}, needs={'/nonexistent/tool': 'tool-package', '/bin/sh': 'dash'})
        self.assertEqual(len(faults), 1)
        self.assertIn('missing packages: tool-package.', faults[0])
        self.assertIn(real_programs.INSTALL, faults[0])


class RunTest(unittest.TestCase):

    def setUp(self):
        self.run_ = runs.Run()
        self.addCleanup(self.run_.close)

    def test_output_is_returned(self):
        self.assertEqual(self.run_.call(['/bin/cat'], stdin=b'text'), b'text')

    def test_a_status_is_an_error(self):
        with self.assertRaisesRegex(runs.ProgramFailed, 'status 3'):
            self.run_.call(['/bin/sh', '-c', 'exit 3'])

    def test_a_signal_is_an_error_even_where_any_status_is_good(self):
        self.run_.call(['/bin/sh', '-c', 'exit 3'], status=None)
        with self.assertRaisesRegex(runs.ProgramFailed, 'status -11'):
            self.run_.call(['/bin/sh', '-c', 'kill -SEGV $$'], status=None)

    def test_a_message_of_hakmem_is_an_error(self):
        with self.assertRaisesRegex(runs.ProgramFailed, 'message of hakmem'):
            self.run_.call(['/bin/sh', '-c', 'echo "hakmem: bad" >&2'])

    def test_a_program_that_hangs_is_an_error(self):
        with self.assertRaisesRegex(runs.ProgramFailed, 'took more than'):
            self.run_.call(['/bin/sleep', '100'], timeout=0.2)

    def test_what_a_hanging_program_has_started_ends_with_it(self):
        # The subshell would write its file if it went on.
        script = '(sleep 1; echo late > late) & echo $! > child; wait'
        with self.assertRaisesRegex(runs.ProgramFailed, 'took more than'):
            self.run_.call(['/bin/sh', '-c', script], timeout=0.3)
        with open(self.run_.path('child')) as stream:
            child = int(stream.read())
        deadline = time.monotonic() + 10
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(is_running(child))
        self.assertFalse(os.path.exists(self.run_.path('late')))

    def test_another_malloc_is_an_error(self):
        run = runs.Run('/lib/libhakmem.so')
        self.addCleanup(run.close)
        with open(run.path('witness'), 'w') as file:
            file.write('1 /usr/bin/tool\n1 /usr/bin/tool\n')
        self.assertEqual(run.witnessed(), {'tool': 2})
        with open(run.path('witness'), 'a') as file:
            file.write('0 /usr/bin/other\n')
        with self.assertRaisesRegex(runs.ProgramFailed, 'other was served by another malloc'):
            run.witnessed()

    def test_the_library_is_preloaded_into_the_program_alone(self):
        run = runs.Run('/lib/l.so', '/lib/w.so', 'strace -f', ['A=b'])
        self.addCleanup(run.close)
        command = run.command(['/bin/true'])
        self.assertEqual(command[:3], ['strace', '-f', '/usr/bin/env'])
        self.assertIn('LD_PRELOAD=/lib/l.so:/lib/w.so', command)
        self.assertIn('A=b', command)
        self.assertNotIn('LD_PRELOAD', run.environment)
        self.assertEqual(self.run_.command(['/bin/true']), ['/bin/true'])

    def test_a_program_whose_malloc_a_tool_replaces_is_not_witnessed(self):
        run = runs.Run('/lib/l.so', '/lib/w.so')
        self.addCleanup(run.close)
        self.assertTrue(any(word.startswith('REAL_PROGRAMS_WITNESS=') for word in run.command(['/bin/true'])))
        self.assertFalse(any(word.startswith('REAL_PROGRAMS_WITNESS=') for word in run.command(['/bin/true'], False)))

    def test_the_directory_goes_away(self):
        run = runs.Run()
        run.close()
        self.assertFalse(os.path.exists(run.directory))


if __name__ == '__main__':
    unittest.main()
