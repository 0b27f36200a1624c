"""python3: its own test suite with every object on malloc, and a workload of threads, processes and large buffers."""

import os
import re
import xml.etree.ElementTree

from run import ProgramFailed

NEEDS = {'/usr/bin/python3': 'python3', '/usr/lib/python3.11/test/test_json/__init__.py': 'libpython3.11-testsuite'}
SERVED = ('python3.11',)
LEAST_BLOCKS = 500_000

# Tests that stress memory or threads; none needs the network, and together they take some ten seconds.
_TESTS = ('array bytes bz2 collections coroutines csv ctypes decimal deque dict functools gc generators hashlib itertools json '
          'list memoryview mmap re set sort struct thread threading threading_local tracemalloc unicode xml_etree '
          'zlib').split()
_LEAST_CASES = 4000
_SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'workloads', 'work.py')


def _outcomes(file):
    """Test case -> outcome, from the JUnit file that the test suite writes; '' is a success."""
    outcomes = {}
    for case in xml.etree.ElementTree.parse(file).getroot().iter('testcase'):
        # Some subtests carry an address or a temporary name.
        name = re.sub(r'0x[0-9a-f]+|tmp\w+|\d{5,}', '_', case.get('name'))
        outcome = [child for child in case if not child.tag.startswith('system')]
        outcomes[name] = ' '.join(sorted(child.tag for child in outcome))
        for child in outcome:
            if child.tag in ('error', 'failure'):
                raise ProgramFailed(f'{name}: {"".join(child.itertext())}')
    return outcomes


def work(run):
    results = {}
    junit = run.path('junit.xml')
    arguments = ['/usr/bin/python3', '-m', 'test', '-j2', '--timeout=120', f'--junit-xml={junit}']
    # Without its own allocator every object of the interpreter is a block of malloc.
    run.call(arguments + [f'test_{name}' for name in _TESTS], status=None, env={'PYTHONMALLOC': 'malloc'})
    for name, outcome in _outcomes(junit).items():
        results[f'test {name}'] = outcome
    if len(results) < _LEAST_CASES:
        raise ProgramFailed(f'only {len(results)} cases of the test suite ran')
    results['workload'] = run.call(['/usr/bin/python3', _SCRIPT, str(run.scale)]).decode()
    return results
