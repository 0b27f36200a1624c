"""The few facts of an x86-64 ELF shared library that tests need: sections, exported names, what it depends on, compiler."""

import struct

_SHT_RELA = 4
_SHT_DYNAMIC = 6
_SHT_DYNSYM = 11
_PT_TLS = 7
_STB_LOCAL = 0
_STT_FUNC = 2
_STT_GNU_IFUNC = 10


class ElfError(Exception):
    """The file is not what this reader understands."""


class ElfFile:
    """Sections by name and exported functions by name, read from `path`."""

    def __init__(self, path):
        with open(path, 'rb') as file:
            self._data = file.read()
        if len(self._data) < 64 or self._data[:6] != b'\x7fELF\x02\x01':
            raise ElfError(f'{path}: not a 64-bit little-endian ELF file')
        (machine,) = struct.unpack_from('<H', self._data, 18)
        if machine != 62:
            raise ElfError(f'{path}: machine {machine}, expected 62 (x86-64)')
        (offset,) = struct.unpack_from('<Q', self._data, 40)
        size, count, names_index = struct.unpack_from('<HHH', self._data, 58)
        rows = [struct.unpack_from('<IIQQQQIIQQ', self._data, offset + i * size) for i in range(count)]
        names = rows[names_index]
        self._rows = rows
        self.sections = {self._string(names[4], row[0]): row for row in rows}

    def _string(self, table_offset, index):
        start = table_offset + index
        return self._data[start:self._data.index(b'\0', start)].decode()

    def exported_functions(self):
        """Name -> address of each function that the dynamic symbol table defines."""
        result = {}
        for row in self._rows:
            if row[1] != _SHT_DYNSYM:
                continue
            strings = self._rows[row[6]][4]
            for entry in range(row[4], row[4] + row[5], 24):
                name, info, _, section, value, _ = struct.unpack_from('<IBBHQQ', self._data, entry)
                if info & 15 in (_STT_FUNC, _STT_GNU_IFUNC) and section != 0:
                    result[self._string(strings, name)] = value
        return result

    def exported_names(self):
        """All names that the dynamic symbol table defines, whatever they stand for."""
        names = set()
        for row in self._rows:
            if row[1] != _SHT_DYNSYM:
                continue
            strings = self._rows[row[6]][4]
            for entry in range(row[4], row[4] + row[5], 24):
                name, info, _, section = struct.unpack_from('<IBBH', self._data, entry)
                if section != 0 and info >> 4 != _STB_LOCAL:
                    names.add(self._string(strings, name))
        return names

    def dynamic(self):
        """(tag, value) of each entry of the dynamic section; names stand for the values of NEEDED and SONAME."""
        entries = []
        for row in self._rows:
            if row[1] != _SHT_DYNAMIC:
                continue
            strings = self._rows[row[6]][4]
            for offset in range(row[4], row[4] + row[5], 16):
                tag, value = struct.unpack_from('<qQ', self._data, offset)
                if tag == 0:
                    break
                entries.append((tag, self._string(strings, value) if tag in (1, 14) else value))
        return entries

    def relocation_types(self):
        """The types of all dynamic relocations, as in elf.h."""
        types = set()
        for row in self._rows:
            if row[1] == _SHT_RELA:
                for offset in range(row[4], row[4] + row[5], 24):
                    types.add(struct.unpack_from('<QQ', self._data, offset)[1] & 0xffffffff)
        return types

    def tls_size(self):
        """Bytes of thread-local memory of each thread; 0 without any."""
        (offset,) = struct.unpack_from('<Q', self._data, 32)
        size, count = struct.unpack_from('<HH', self._data, 54)
        for i in range(count):
            row = struct.unpack_from('<IIQQQQQQ', self._data, offset + i * size)
            if row[0] == _PT_TLS:
                return row[6]
        return 0

    def section_range(self, name):
        """(first address, end address) of a section; an empty range when it is absent."""
        row = self.sections.get(name)
        return (row[3], row[3] + row[5]) if row else (0, 0)

    def compiler(self):
        """The compiler's own identification from .comment; the linker's is left out."""
        row = self.sections.get('.comment')
        if not row:
            return 'unknown'
        texts = self._data[row[4]:row[4] + row[5]].split(b'\0')
        texts = sorted({text.decode(errors='replace') for text in texts if text})
        compilers = [text for text in texts if not text.startswith('Linker:')]
        # With clang the C library's start files still carry gcc's mark.
        clang = [text for text in compilers if 'clang' in text]
        return (clang or compilers or ['unknown'])[0]
