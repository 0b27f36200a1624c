"""What libhakmem.so shows and needs: exactly the names of the interface, no C++ library, one thread-local pointer.

usage: library_test.py ELF_FILE_PY LIBRARY HEADER EXPECTED_NAMES debug|guard|release
"""

import os
import re
import sys
import unittest

NEEDED, SONAME, TEXTREL, FLAGS, FLAGS_1 = 1, 14, 22, 30, 0x6ffffffb
DF_TEXTREL, DF_STATIC_TLS = 4, 16
DF_1_NOW, DF_1_NODELETE, DF_1_INITFIRST = 1, 8, 32
# The models of thread-local variables that call __tls_get_addr, which allocates.
R_X86_64_DTPMOD64, R_X86_64_TPOFF64, R_X86_64_TLSDESC = 16, 18, 36


class LibraryTest(unittest.TestCase):
    library = None
    header = None
    expected = None
    build = None

    def values(self, wanted):
        return [value for tag, value in self.library.dynamic() if tag == wanted]

    def test_exports_the_interface_and_nothing_else(self):
        with open(self.expected) as file:
            expected = {line.strip() for line in file if line.strip() and not line.startswith('#')}
        with open(self.header) as file:
            own = set(re.findall(r'^HAKMEM_PUBLIC [^(]*?\b(hak_\w+)\(', file.read(), re.MULTILINE))
        self.assertGreater(len(own), 15)
        expected |= own
        exported = self.library.exported_names()
        self.assertEqual(sorted(exported - expected), [], 'exported, but not of the interface')
        self.assertEqual(sorted(expected - exported), [], 'of the interface, but not exported')

    def test_needs_the_c_library_alone(self):
        for name in self.values(NEEDED):
            self.assertRegex(name, r'^(libc\.so\.6|libpthread\.so\.0|libdl\.so\.2|ld-linux-x86-64\.so\.2)$')
        self.assertIn('libc.so.6', self.values(NEEDED))
        self.assertEqual(self.values(SONAME), ['libhakmem.so'])

    def test_has_one_initial_exec_pointer_a_thread(self):
        self.assertNotIn(R_X86_64_DTPMOD64, self.library.relocation_types())
        self.assertNotIn(R_X86_64_TLSDESC, self.library.relocation_types())
        self.assertIn(R_X86_64_TPOFF64, self.library.relocation_types())
        if self.build == 'release':
            self.assertEqual(self.library.tls_size(), 8)
        else:
            # And a few words of checks.
            self.assertLessEqual(self.library.tls_size(), 32)

    def test_is_bound_at_load_starts_first_and_stays(self):
        (flags_1,) = self.values(FLAGS_1)
        self.assertTrue(flags_1 & DF_1_NOW)
        self.assertTrue(flags_1 & DF_1_NODELETE)
        self.assertTrue(flags_1 & DF_1_INITFIRST)
        self.assertEqual(self.values(TEXTREL), [])
        for flags in self.values(FLAGS):
            self.assertFalse(flags & DF_TEXTREL)


if __name__ == '__main__':
    elf_module, library, LibraryTest.header, LibraryTest.expected, LibraryTest.build = sys.argv[1:6]
    sys.path.insert(0, os.path.dirname(elf_module))
    import elf_file
    LibraryTest.library = elf_file.ElfFile(library)
    unittest.main(argv=sys.argv[:1])
