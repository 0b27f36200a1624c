"""Parses what hakmem says of itself, by strict parsers, and compares it with what the program held.

usage: statistics_test.py PROBE
"""

import json
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree

SMALL, SMALL_COUNT, HUGE = 1000, 100_000, 20 << 20
MOMENTS = ('before', 'while', 'after')


def read_sections(probe):
    out = subprocess.run([probe], check=True, capture_output=True, text=True, timeout=60).stdout
    parts = re.split(r'^== (.*)\n', out, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def refuse_twice(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError('a name stands twice')
    return dict(pairs)


class StatisticsTest(unittest.TestCase):
    probe = None

    @classmethod
    def setUpClass(cls):
        cls.sections = read_sections(cls.probe)
        cls.json = {moment: json.loads(cls.sections[f'json {moment}'], object_pairs_hook=refuse_twice)
                    for moment in MOMENTS}

    def mallinfo(self, moment):
        return {name: int(value) for name, value in
                (line.split() for line in self.sections[f'mallinfo2 {moment}'].splitlines())}

    def test_json_is_one_line_and_says_who_speaks(self):
        for moment in MOMENTS:
            self.assertEqual(self.sections[f'json {moment}'].count('\n'), 1)
            self.assertEqual(self.json[moment]['allocator'], 'hakmem')
            self.assertIn(self.json[moment]['build'], ('debug', 'guard', 'release'))

    def test_every_figure_is_a_number_and_no_counter_goes_back(self):
        for name, value in self.json['before'].items():
            if name in ('allocator', 'build'):
                continue
            for moment in MOMENTS:
                value = self.json[moment][name]
                self.assertIsInstance(value, int, name)
                self.assertTrue(0 <= value < 1 << 40, f'{name} is {value}')
        for name in ('purged', 'mapped_peak', 'blocks', 'refills', 'remote_frees', 'calls_map', 'huge_allocated',
                     'lock_shared_pool'):
            values = [self.json[moment][name] for moment in MOMENTS]
            self.assertEqual(values, sorted(values), name)

    def test_figures_follow_what_the_program_holds(self):
        before, held, after = (self.json[moment] for moment in MOMENTS)
        self.assertEqual(held['huge_blocks'], 1)
        self.assertGreaterEqual(held['huge_bytes'], HUGE)
        self.assertEqual(after['huge_blocks'], 0)
        self.assertEqual(after['huge_bytes'], 0)
        self.assertGreaterEqual(held['mapped'], HUGE + SMALL * SMALL_COUNT)
        self.assertGreaterEqual(held['mapped_peak'], held['mapped'])
        self.assertGreaterEqual(held['blocks'] - before['blocks'], SMALL_COUNT * 9 // 10)
        waiting = 16384 if held['build'] == 'guard' else 0  # kQueueBlocks in hakmem/guard/guard.h
        self.assertGreaterEqual(held['remote_frees'], SMALL_COUNT // 2 - waiting)
        self.assertGreaterEqual(held['active_slots'] * 65536, SMALL * SMALL_COUNT // 2)
        self.assertLess(after['active_slots'] * 65536, 4 << 20)
        self.assertGreater(after['purged'], HUGE)

    def test_text_has_a_line_a_figure(self):
        lines = self.sections['text while'].splitlines()
        self.assertRegex(lines[0], r'^hakmem: statistics of process \d+ \((debug|guard|release) build\)$')
        rows = [re.fullmatch(r'hakmem:   +(\S.*?) +(\d+)', line) for line in lines[1:]]
        self.assertTrue(all(rows), lines)
        # allocator, build and pid stand in the first line.
        self.assertEqual(len(rows), len(self.json['while']) - 3)
        values = {row.group(1): int(row.group(2)) for row in rows}
        self.assertEqual(values['huge blocks in use'], 1)

    def test_xml_is_well_formed_and_has_glibcs_elements(self):
        for moment in MOMENTS:
            root = xml.etree.ElementTree.fromstring(self.sections[f'xml {moment}'])
            self.assertEqual(root.tag, 'malloc')
            self.assertEqual(root.get('version'), '1')
            systems = {row.get('type'): int(row.get('size')) for row in root.findall('system')}
            self.assertLessEqual(systems['current'], systems['max'])
            figures = {row.get('name') for row in root.findall('figure')}
            self.assertEqual(figures, set(self.json[moment]) - {'allocator', 'build', 'pid'})
        self.assertEqual(int(root.find("total[@type='mmap']").get('count')), 0)

    def test_malloc_info_knows_no_options(self):
        self.assertEqual(self.sections['rejected'], '-1\n')

    def test_mallinfo2_follows_what_the_program_holds(self):
        before, held, after = (self.mallinfo(moment) for moment in MOMENTS)
        self.assertEqual((before['hblks'], held['hblks'], after['hblks']), (0, 1, 0))
        self.assertGreaterEqual(held['hblkhd'], HUGE)
        self.assertGreaterEqual(held['uordblks'] - before['uordblks'], SMALL * SMALL_COUNT // 2)
        self.assertLess(after['uordblks'], 4 << 20)
        for info in (before, held, after):
            self.assertGreaterEqual(info['arena'], info['uordblks'])
            self.assertEqual(info['arena'], info['uordblks'] + info['fordblks'])


if __name__ == '__main__':
    StatisticsTest.probe = sys.argv.pop(1)
    unittest.main()
