#include "hakmem/diag/elf_file.h"

#include <cstring>
#include <initializer_list>

namespace hakmem {

bool ElfFile::Open(const char* path) {
  Close();
  file_ = os::MapFile(path);
  if (file_.data == nullptr) return false;
  const auto* header = At<Elf64_Ehdr>(0);
  constexpr unsigned char kOurOrder = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
  if (header == nullptr || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
      header->e_ident[EI_DATA] != kOurOrder) {
    Close();
    return false;
  }
  header_ = header;
  return true;
}

void ElfFile::Close() {
  os::UnmapFile(file_);
  file_ = {};
  header_ = nullptr;
}

const Elf64_Phdr* ElfFile::Segments(size_t* count) const {
  *count = 0;
  if (header_ == nullptr || header_->e_phentsize != sizeof(Elf64_Phdr)) return nullptr;
  const auto* segments = At<Elf64_Phdr>(header_->e_phoff, header_->e_phnum);
  if (segments != nullptr) *count = header_->e_phnum;
  return segments;
}

bool ElfFile::AddressOf(uint64_t offset, uint64_t* address) const {
  size_t count;
  const Elf64_Phdr* segments = Segments(&count);
  for (size_t i = 0; i < count; ++i) {
    if (segments[i].p_type != PT_LOAD || offset - segments[i].p_offset >= segments[i].p_filesz) continue;
    *address = offset - segments[i].p_offset + segments[i].p_vaddr;
    return true;
  }
  return false;
}

bool ElfFile::FindSegment(uint32_t type, uint64_t* address, uint64_t* size) const {
  size_t count;
  const Elf64_Phdr* segments = Segments(&count);
  for (size_t i = 0; i < count; ++i) {
    if (segments[i].p_type != type) continue;
    *address = segments[i].p_vaddr;
    *size = segments[i].p_memsz;
    return true;
  }
  return false;
}

const Elf64_Shdr* ElfFile::FindSection(uint32_t type) const {
  if (header_->e_shentsize != sizeof(Elf64_Shdr)) return nullptr;
  const auto* sections = At<Elf64_Shdr>(header_->e_shoff, header_->e_shnum);
  if (sections == nullptr) return nullptr;
  for (size_t i = 0; i < header_->e_shnum; ++i) {
    if (sections[i].sh_type == type) return &sections[i];
  }
  return nullptr;
}

bool ElfFile::FindFunction(uint64_t address, Symbol* symbol) const {
  if (header_ == nullptr) return false;
  for (const uint32_t type : {uint32_t{SHT_SYMTAB}, uint32_t{SHT_DYNSYM}}) {
    const Elf64_Shdr* table = FindSection(type);
    if (table == nullptr || table->sh_link >= header_->e_shnum) continue;
    const auto* strings = At<Elf64_Shdr>(header_->e_shoff + table->sh_link * sizeof(Elf64_Shdr));
    const uint64_t count = table->sh_size / sizeof(Elf64_Sym);
    const auto* symbols = At<Elf64_Sym>(table->sh_offset, count);
    const char* text = strings == nullptr ? nullptr : At<char>(strings->sh_offset, strings->sh_size);
    if (symbols == nullptr || text == nullptr) continue;
    for (uint64_t i = 0; i < count; ++i) {
      const Elf64_Sym& s = symbols[i];
      const unsigned kind = ELF64_ST_TYPE(s.st_info);
      if ((kind != STT_FUNC && kind != STT_GNU_IFUNC) || s.st_shndx == SHN_UNDEF) continue;
      if (address - s.st_value >= s.st_size || s.st_name >= strings->sh_size) continue;
      const char* name = text + s.st_name;
      if (*name == 0 || memchr(name, 0, strings->sh_size - s.st_name) == nullptr) continue;
      *symbol = {name, s.st_value};
      return true;
    }
  }
  return false;
}

}  // namespace hakmem
