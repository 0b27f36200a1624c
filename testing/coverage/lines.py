"""What coverage.sh asks of the files that it gets from Bazel and llvm-cov.

  lines.py binaries EVENTS                      ELF files that a build made (its build event file, as JSON)
  lines.py total TESTONLY LCOV...               lines of hakmem/ that were reached, in one line
  lines.py report [--least=PERCENT] [--reasons=FILE] TESTONLY LCOV...
                                                a line for each file, and the lines that nothing reached

A line counts as reached when one LCOV file has it so, and once, however many binaries hold it. TESTONLY is a list of labels
whose lines do not count. --reasons names a page that says why lines are not reached: below a heading with the file's name,
the text of each such line between backquotes. Lines that it does not name are printed as such.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import urllib.parse


def binaries(events):
    """Paths of the ELF files among the outputs that the build event file names."""
    paths = set()
    with open(events, encoding='utf-8') as stream:
        for line in stream:
            for file in json.loads(line).get('namedSetOfFiles', {}).get('files', []):
                uri = urllib.parse.urlparse(file.get('uri', ''))
                if uri.scheme == 'file':
                    paths.add(urllib.parse.unquote(uri.path))
    for path in sorted(paths):
        if not path.endswith(('.o', '.a')) and os.path.isfile(path):
            with open(path, 'rb') as stream:
                if stream.read(4) == b'\x7fELF':
                    yield path


def read_lines(files, testonly):
    """Source file -> line -> the largest of its counts."""
    with open(testonly, encoding='utf-8') as stream:
        tests = {label.strip().lstrip('/').replace(':', '/') for label in stream}
    tree = set(subprocess.run(['git', 'ls-files', 'hakmem'], check=True, capture_output=True,
                              text=True).stdout.splitlines()) - tests
    counts = collections.defaultdict(dict)
    for name in files:
        source = None
        with open(name, encoding='utf-8') as stream:
            for record in stream:
                if record.startswith('SF:'):
                    # Absolute, below wherever the compiler ran.
                    parts = record[3:].strip().split('/')
                    tails = ['/'.join(parts[i:]) for i, part in enumerate(parts) if part == 'hakmem']
                    source = next((tail for tail in tails if tail in tree), None)
                elif record.startswith('DA:') and source:
                    line, count = (int(field) for field in record[3:].split(',')[:2])
                    lines = counts[source]
                    lines[line] = max(count, lines.get(line, 0))
    return counts


def read_reasons(path):
    """Source file -> texts of lines that the page explains."""
    reasons = collections.defaultdict(set)
    source = None
    if path:
        with open(path, encoding='utf-8') as stream:
            page = stream.read()
        for part in re.split(r'^#+ ', page, flags=re.MULTILINE)[1:]:
            source = part.split('\n', 1)[0].strip().strip('`')
            reasons[source].update(re.sub(r'\s+', ' ', text) for text in re.findall(r'`([^`]+)`', part))
    return reasons


def percent(reached, lines):
    """Rounded down: 95.00 is printed for nothing less."""
    return int(10000 * reached / lines) / 100 if lines else 0


def totals(counts):
    lines = sum(len(of_file) for of_file in counts.values())
    reached = sum(1 for of_file in counts.values() for count in of_file.values() if count)
    return reached, lines


def report(arguments):
    """False when the total is less than it has to be."""
    counts = read_lines(arguments.files, arguments.testonly)
    reached, lines = totals(counts)
    if arguments.command == 'total':
        print(f'{percent(reached, lines):.2f} % ({reached} of {lines} lines of {len(counts)} files of hakmem/)')
        return True
    for source, of_file in sorted(counts.items()):
        in_file = sum(1 for count in of_file.values() if count)
        print(f'{percent(in_file, len(of_file)):7.2f} %  {in_file:4} of {len(of_file):4}  {source}')
    reasons = read_reasons(arguments.reasons)
    print('not reached (* with no reason given):' if arguments.reasons else 'not reached:')
    for source, of_file in sorted(counts.items()):
        with open(source, encoding='utf-8') as stream:
            text = [line.strip() for line in stream]
        for line, count in sorted(of_file.items()):
            if not count:
                mark = '*' if arguments.reasons and re.sub(r'\s+', ' ', text[line - 1]) not in reasons[source] else ' '
                print(f'{mark} {source}:{line}: {text[line - 1]}')
    print(f'total: {percent(reached, lines):.2f} % ({reached} of {lines} lines)')
    if percent(reached, lines) < arguments.least:
        print(f'coverage: less than {arguments.least} %', file=sys.stderr)
        return False
    return True


def main():
    if sys.argv[1:2] == ['binaries']:
        print('\n'.join(binaries(sys.argv[2])))
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument('command', choices=['total', 'report'])
    parser.add_argument('--least', type=float, default=0)
    parser.add_argument('--reasons')
    parser.add_argument('testonly')
    parser.add_argument('files', nargs='+')
    return 0 if report(parser.parse_args()) else 1


sys.exit(main())
