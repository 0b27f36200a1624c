"""Tests the analyser on small hand-written disassembly: what it counts, what it follows, and that it can fail."""

import contextlib
import io
import os
import tempfile
import unittest

import golden
import hit_path

# Shapes as GNU objdump prints them: a malloc with its slow path behind it, and a free with arithmetic on memory.
MALLOC = """
0000000000001000 <malloc>:
    1000:\tlea    rax,[rdi-0x1]
    1004:\tcmp    rax,0x3ff
    100a:\tja     1050 <slow>
    1010:\tmov    rcx,QWORD PTR [rip+0x2000]        # 3017 <heap@tpoff>
    1017:\tmov    rcx,QWORD PTR fs:[rcx]
    101b:\tmov    rax,QWORD PTR [rcx+rdi*8]
    101f:\ttest   rax,rax
    1022:\tje     1050 <slow>
    1028:\tmov    rdx,QWORD PTR [rax]
    102b:\tprefetcht0 BYTE PTR [rdx]
    102f:\tmov    QWORD PTR [rcx+rdi*8],rdx
    1033:\tret
    1050:\tjmp    9000 <out>
"""


def counts_of(text, start=0x1000):
    return tuple(hit_path.count(hit_path.follow(hit_path.parse(text), start)))


def one(text):
    return next(iter(hit_path.parse('    1000:\t' + text).values()))


class CountTest(unittest.TestCase):

    def test_malloc_shape(self):
        self.assertEqual(counts_of(MALLOC), (12, 4, 1, 2, 0, 0))

    def test_the_budget_is_met_and_one_more_load_breaks_it(self):
        counts = hit_path.count(hit_path.follow(hit_path.parse(MALLOC), 0x1000))
        self.assertEqual(golden.check_budget('malloc', counts), [])
        longer = MALLOC.replace('lea    rax,[rdi-0x1]', 'mov    rax,QWORD PTR [rdi-0x1]')
        counts = hit_path.count(hit_path.follow(hit_path.parse(longer), 0x1000))
        self.assertEqual(golden.check_budget('malloc', counts), ['malloc: 5 loads on the hit path, the budget is 4'])

    def test_each_field_of_the_budget_can_fail(self):
        within = hit_path.Counts(18, 6, 3, 3, 0, 0)
        self.assertEqual(golden.check_budget('free', within), [])
        for field in hit_path.Counts._fields:
            over = within._replace(**{field: getattr(within, field) + 1})
            self.assertEqual(len(golden.check_budget('free', over)), 1, field)

    def test_accesses(self):
        for text, expected in {
                'lea rax,[rdi+8]': (0, 0),
                'nop WORD PTR cs:[rax+rax*1+0x0]': (0, 0),
                'cs nop WORD PTR [rax+rax*1+0x0]': (0, 0),
                'prefetchw BYTE PTR [rdx]': (0, 0),
                'ret': (0, 0),
                'mov rax,rdi': (0, 0),
                'mov rax,QWORD PTR fs:0x0': (1, 0),
                'mov rax, qword ptr fs:[0]': (1, 0),
                'movzx eax,BYTE PTR [rdi]': (1, 0),
                'mov DWORD PTR [rdi],0x1': (0, 1),
                'movups XMMWORD PTR [rdi],xmm0': (0, 1),
                'movups xmm0,XMMWORD PTR [rdi]': (1, 0),
                'movsd xmm0,QWORD PTR [rdi]': (1, 0),
                'sete BYTE PTR [rdi]': (0, 1),
                'inc DWORD PTR [rdi]': (1, 1),
                'sub DWORD PTR [rdi],0x1': (1, 1),
                'add rax,QWORD PTR [rdi]': (1, 0),
                'cmp QWORD PTR [rdi],rax': (1, 0),
                'cmp rax,QWORD PTR [rdi]': (1, 0),
                'test BYTE PTR [rdi],0x1': (1, 0),
                'bt DWORD PTR [rdi],eax': (1, 0),
                'bts DWORD PTR [rdi],eax': (1, 1),
                'cmove rax,QWORD PTR [rdi]': (1, 0),
                'imul rax,QWORD PTR [rdi],0x10': (1, 0),
                'xchg QWORD PTR [rdi],rax': (1, 1),
                'xchg rax,QWORD PTR [rdi]': (1, 1),
                'lock xadd QWORD PTR [rdi],rax': (1, 1),
                'lock cmpxchg QWORD PTR [rdi],rcx': (1, 1),
                'push rbx': (0, 1),
                'push QWORD PTR [rdi]': (1, 1),
                'pop rbx': (1, 0),
                'call 1000 <f>': (0, 1),
                'call QWORD PTR [rip+0x10]': (1, 1),
                'addr32 call 1000 <f>': (0, 1),
                'jmp QWORD PTR [rip+0x10]': (1, 0),
                'rep stos QWORD PTR es:[rdi],rax': (0, 1),
                'rep movs BYTE PTR es:[rdi],BYTE PTR ds:[rsi]': (1, 1),
        }.items():
            self.assertEqual(hit_path.accesses(one(text)), expected, text)

    def test_an_unknown_access_is_an_error(self):
        with self.assertRaises(hit_path.HitPathError):
            hit_path.accesses(one('frobnicate QWORD PTR [rdi],rax'))

    def test_atomics(self):
        self.assertTrue(hit_path.is_atomic(one('lock dec DWORD PTR [rdi]')))
        self.assertTrue(hit_path.is_atomic(one('xchg QWORD PTR [rdi],rax')))
        self.assertFalse(hit_path.is_atomic(one('xchg rbx,rax')))
        self.assertFalse(hit_path.is_atomic(one('dec DWORD PTR [rdi]')))


class FollowTest(unittest.TestCase):

    def test_jump_is_followed_and_counted(self):
        text = """
    1000:\tinc    DWORD PTR [rdi]
    1002:\tjmp    1010 <b>
    1004:\tud2
    1010:\tret
"""
        self.assertEqual(counts_of(text), (3, 1, 1, 0, 0, 0))

    def test_inner_call_is_followed_and_counted(self):
        text = """
    1000:\tcall   1010 <inner>
    1005:\tret
    1010:\tmov    rax,QWORD PTR [rdi]
    1013:\tret
"""
        self.assertEqual(counts_of(text), (4, 1, 1, 0, 1, 0))

    def test_call_out_of_the_library_is_counted(self):
        self.assertEqual(counts_of('    1000:\tcall   500 <memset@plt>\n    1005:\tret\n'), (2, 0, 1, 0, 1, 0))

    def test_paths_that_cannot_be_followed(self):
        for text, message in {
                '    1000:\tnop\n    1001:\tjmp    1000 <a>\n': 'a loop',
                '    1000:\tud2\n': 'ends in `ud2`',
                '    1000:\tjmp    rax\n': 'leaves the library',
                '    1000:\tjmp    50 <memset@plt>\n': 'leaves the library',
                '    1000:\tnop\n': 'past the end',
                '    2000:\tret\n': 'outside the disassembled code',
        }.items():
            with self.assertRaisesRegex(hit_path.HitPathError, message):
                counts_of(text)

    def test_a_very_long_path_is_an_error(self):
        text = ''.join(f'    {0x1000 + i:x}:\tnop\n' for i in range(hit_path.MAX_PATH + 1))
        with self.assertRaisesRegex(hit_path.HitPathError, 'longer than'):
            counts_of(text)


class ListingTest(unittest.TestCase):

    def test_addresses_do_not_show(self):
        self.assertEqual(hit_path.normalise(one('ja 1050 <slow+0x50>')), 'ja <slow path>')
        self.assertEqual(hit_path.normalise(one('jmp 1050 <slow>')), 'jmp <code>')
        self.assertEqual(hit_path.normalise(one('mov rcx,QWORD PTR [rip+0x2000]        # 3017 <x>')),
                         'mov rcx, QWORD ptr [rip + <data>]')

    def test_offsets_in_structures_show(self):
        self.assertEqual(hit_path.normalise(one('mov rcx,QWORD PTR [rdi+0x18]')), 'mov rcx, QWORD ptr [rdi+0x18]')


class CompareTest(unittest.TestCase):

    def setUp(self):
        self.program = hit_path.parse(MALLOC)
        self.hit = tuple(i.address for i in hit_path.follow(self.program, 0x1000))

    def faults(self, trace):
        traces = {'malloc': [self.hit, trace]}
        return [fault for fault in golden.analyse(self.program, {'malloc': 0x1000}, traces)[1] if 'malloc:' in fault]

    def test_the_same_path_is_no_fault(self):
        self.assertEqual(self.faults(self.hit), [])

    def test_an_executed_slow_path_is_a_fault(self):
        self.assertIn('is not the path', self.faults((0x1000, 0x1004, 0x100a, 0x1050))[0])

    def test_an_executed_address_between_instructions_is_a_fault(self):
        self.assertIn('0x1001', self.faults((0x1000, 0x1001))[0])

    def test_missing_symbols_and_traces_are_faults(self):
        paths, faults = golden.analyse(self.program, {'malloc': 0x1000}, {})
        self.assertEqual(paths, {})
        self.assertEqual(len(faults), len(golden.STATIC + golden.TRACED))

    def test_traces_are_read_by_name(self):
        self.assertEqual(golden.read_traces('free 10 1f\nfree 10\nmalloc 1\n'),
                         {'free': [(0x10, 0x1f), (0x10,)], 'malloc': [(1,)]})


class GoldenFileTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = hit_path.follow(hit_path.parse(MALLOC), 0x1000)

    def text(self, name, compiler='clang 1', path=None):
        path = path or self.path
        return golden.render(name, compiler, hit_path.count(path), path)

    def faults(self, name, text):
        with contextlib.redirect_stdout(io.StringIO()):
            return golden.check_golden(self.directory, name, text)

    def write(self, name):
        with open(os.path.join(self.directory, name + '.golden'), 'w') as file:
            file.write(self.text(name))

    def test_a_missing_file_is_a_fault(self):
        self.assertIn('no golden file', self.faults('malloc', self.text('malloc'))[0])

    def test_the_same_is_no_fault(self):
        self.write('malloc')
        self.assertEqual(self.faults('malloc', self.text('malloc')), [])

    def test_a_changed_instruction_is_a_fault_that_shows_it(self):
        self.write('malloc')
        changed = [self.path[0]._replace(operands='rax,[rdi+0x1]')] + self.path[1:]
        self.assertIn('+lea rax, [rdi+0x1]', self.faults('malloc', self.text('malloc', path=changed))[0])

    def test_another_compiler_is_not_compared(self):
        self.write('malloc')
        self.assertEqual(self.faults('malloc', self.text('malloc', compiler='gcc 2')), [])

    def test_a_traced_path_may_change_but_not_grow(self):
        self.write('calloc')
        changed = [self.path[0]._replace(operands='rax,[rdi+0x1]')] + self.path[1:]
        self.assertEqual(self.faults('calloc', self.text('calloc', path=changed)), [])
        grown = self.faults('calloc', self.text('calloc', path=[self.path[0]] + self.path))
        self.assertIn('instructions 12 -> 13', grown[0])


if __name__ == '__main__':
    unittest.main()
