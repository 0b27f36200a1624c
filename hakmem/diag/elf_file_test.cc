// A file of one segment and two functions, and what is wrong with it in turn.
#include "hakmem/diag/elf_file.h"

#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

constexpr bool kLittle = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

struct File {
  Elf64_Ehdr header = {};
  Elf64_Phdr segments[2] = {};
  Elf64_Shdr sections[3] = {};
  Elf64_Sym symbols[3] = {};
  char names[16] = "\0first\0second\0x";  // the last one is not closed

  File() {
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = kLittle ? ELFDATA2LSB : ELFDATA2MSB;
    header.e_phoff = offsetof(File, segments);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    header.e_shoff = offsetof(File, sections);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    segments[0].p_type = PT_GNU_EH_FRAME;
    segments[0].p_vaddr = 0x7000;
    segments[0].p_memsz = 0x70;
    segments[1].p_type = PT_LOAD;
    segments[1].p_offset = 0x1000;
    segments[1].p_filesz = 0x1000;
    segments[1].p_vaddr = 0x401000;
    sections[1].sh_type = SHT_SYMTAB;
    sections[1].sh_link = 2;
    sections[1].sh_offset = offsetof(File, symbols);
    sections[1].sh_size = sizeof(symbols);
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = offsetof(File, names);
    sections[2].sh_size = 15;
    symbols[1] = {1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 7, 0x401100, 0x80};
    symbols[2] = {7, ELF64_ST_INFO(STB_LOCAL, STT_GNU_IFUNC), 0, 7, 0x401200, 0x10};
  }
};

// The file on disk, read; what is asked of it is the name of a function, or the address of an offset.
class Written {
 public:
  explicit Written(const File& file, size_t size = sizeof(File)) : path_(::testing::TempDir() + "/elf_file") {
    std::ofstream(path_, std::ios::binary).write(reinterpret_cast<const char*>(&file), static_cast<long>(size));
    opened_ = file_.Open(path_.c_str());
  }
  bool opened() const { return opened_; }
  std::string FunctionAt(uint64_t address) const {
    ElfFile::Symbol symbol;
    return file_.FindFunction(address, &symbol) ? symbol.name + std::to_string(address - symbol.start) : "none";
  }
  uint64_t AddressOf(uint64_t offset) const {
    uint64_t address = 0;
    return file_.AddressOf(offset, &address) ? address : 0;
  }
  bool HasTable() const {
    uint64_t address = 0;
    uint64_t size = 0;
    return file_.FindSegment(PT_GNU_EH_FRAME, &address, &size) && address == 0x7000 && size == 0x70;
  }

 private:
  const std::string path_;
  ElfFile file_;
  bool opened_;
};

TEST(ElfFileTest, AFileThatIsGood) {
  const Written file{File()};
  ASSERT_TRUE(file.opened());
  EXPECT_EQ(file.FunctionAt(0x401100), "first0");
  EXPECT_EQ(file.FunctionAt(0x40117f), "first127");
  EXPECT_EQ(file.FunctionAt(0x401180), "none");
  EXPECT_EQ(file.FunctionAt(0x401208), "second8");
  EXPECT_EQ(file.AddressOf(0x1004), 0x401004u);
  EXPECT_EQ(file.AddressOf(0x2000), 0u);
  EXPECT_EQ(file.AddressOf(0xfff), 0u);
  EXPECT_TRUE(file.HasTable());
}

TEST(ElfFileTest, WhatIsNoFileOfThisMachine) {
  const auto opens = [](auto change) {
    File file;
    change(file);
    const Written written(file);
    // Who did not look at the result gets no answer.
    EXPECT_TRUE(written.opened() || (written.FunctionAt(0x401100) == "none" && written.AddressOf(0x1004) == 0));
    return written.opened();
  };
  EXPECT_FALSE(opens([](File& f) { f.header.e_ident[0] = 'F'; }));
  EXPECT_FALSE(opens([](File& f) { f.header.e_ident[EI_CLASS] = ELFCLASS32; }));
  EXPECT_FALSE(opens([](File& f) { f.header.e_ident[EI_DATA] = kLittle ? ELFDATA2MSB : ELFDATA2LSB; }));
  EXPECT_FALSE(Written(File(), sizeof(Elf64_Ehdr) - 1).opened());
  EXPECT_FALSE(Written(File(), 0).opened());
}

TEST(ElfFileTest, SegmentsThatAreNotThere) {
  const auto has_none = [](auto change) {
    File file;
    change(file);
    const Written written(file);
    return written.opened() && written.AddressOf(0x1004) == 0 && !written.HasTable();
  };
  EXPECT_TRUE(has_none([](File& f) { f.header.e_phentsize = 32; }));
  EXPECT_TRUE(has_none([](File& f) { f.header.e_phoff = sizeof(File) - 8; }));
  EXPECT_TRUE(has_none([](File& f) { f.header.e_phoff += 1; }));  // not where such an object may stand
  EXPECT_TRUE(has_none([](File& f) { f.header.e_phoff = ~uint64_t{7}; }));
  EXPECT_TRUE(has_none([](File& f) { f.header.e_phnum = 0; }));
}

TEST(ElfFileTest, NamesThatAreNotThere) {
  const auto first_is = [](auto change) {
    File file;
    change(file);
    const Written written(file);
    EXPECT_TRUE(written.opened());
    return written.FunctionAt(0x401100);
  };
  EXPECT_EQ(first_is([](File& f) { f.header.e_shentsize = 40; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.header.e_shoff = sizeof(File); }), "none");
  EXPECT_EQ(first_is([](File& f) { f.header.e_shnum = 1000; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.sections[1].sh_type = SHT_NOTE; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.sections[1].sh_type = SHT_DYNSYM; }), "first0");
  EXPECT_EQ(first_is([](File& f) { f.sections[1].sh_link = 3; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.sections[1].sh_size = 1 << 20; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.sections[1].sh_offset = ~uint64_t{7}; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.sections[2].sh_offset = sizeof(File) - 4; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT); }), "none");
  EXPECT_EQ(first_is([](File& f) { f.symbols[1].st_shndx = SHN_UNDEF; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.symbols[1].st_name = 0; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.symbols[1].st_name = 14; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.symbols[1].st_name = 15; }), "none");
  EXPECT_EQ(first_is([](File& f) { f.symbols[1].st_size = 0; }), "none");
}

// Cut or changed anywhere, a file gives answers or none; it never makes the reader fail.
TEST(ElfFileTest, DamageIsNoFault) {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  std::string head(1 << 16, 0);
  self.read(head.data(), static_cast<std::streamsize>(head.size()));
  const std::string path = ::testing::TempDir() + "/damaged";
  srandom(1);
  for (int round = 0; round < 200; ++round) {
    std::string bytes = head.substr(0, static_cast<size_t>(random()) % head.size());
    for (int i = 0; i < 8 && !bytes.empty(); ++i) {
      bytes[static_cast<size_t>(random()) % std::min<size_t>(bytes.size(), 1024)] = static_cast<char>(random());
    }
    std::ofstream(path, std::ios::binary) << bytes;
    ElfFile file;
    if (!file.Open(path.c_str())) continue;
    uint64_t address;
    uint64_t size;
    ElfFile::Symbol symbol;
    static_cast<void>(file.AddressOf(static_cast<uint64_t>(random()), &address));
    static_cast<void>(file.FindSegment(PT_GNU_EH_FRAME, &address, &size));
    static_cast<void>(file.FindFunction(static_cast<uint64_t>(random()), &symbol));
  }
  ElfFile file;
  EXPECT_FALSE(file.Open("/nowhere"));
  EXPECT_FALSE(file.Open("/dev/null"));
  EXPECT_FALSE(file.Open("/"));
}

}  // namespace
}  // namespace hakmem
