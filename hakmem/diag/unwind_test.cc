#include "hakmem/diag/unwind.h"

#include <execinfo.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "hakmem/diag/elf_file.h"
#include "hakmem/diag/modules.h"

namespace hakmem {
namespace {

constexpr size_t kMost = 64;
// A static one: it holds the tables of a report.
Modules modules;

// The return addresses of the C library's own walk, from the caller of the function that asks.
struct Both {
  uintptr_t ours[kMost];
  size_t our_count;
  void* theirs[kMost];
  int their_count;
};

__attribute__((noinline)) void WalkBoth(Both* both) {
  modules.Load();
  both->our_count = Unwind(modules, CaptureRegisters(), both->ours, kMost);
  both->their_count = backtrace(both->theirs, static_cast<int>(kMost));
}

__attribute__((noinline)) void Descend(int depth, Both* both) {
  volatile char room[200];
  room[0] = static_cast<char>(depth);
  if (depth == 0) {
    WalkBoth(both);
  } else {
    Descend(depth - 1, both);
  }
  room[1] = room[0];
}

void ExpectSame(const Both& both) {
  ASSERT_GT(both.our_count, 5u);
  // The innermost frames differ by where each walk began (a sanitizer's starts in a function of its own); from the
  // caller of WalkBoth on they agree to the end.
  int at = 0;
  while (at < both.their_count && reinterpret_cast<uintptr_t>(both.theirs[at]) != both.ours[1]) ++at;
  EXPECT_EQ(both.their_count - at, static_cast<int>(both.our_count) - 1);
  for (size_t i = 1; i < both.our_count && at < both.their_count; ++i, ++at) {
    EXPECT_EQ(both.ours[i], reinterpret_cast<uintptr_t>(both.theirs[at])) << i;
  }
}

#if defined(__x86_64__)
TEST(UnwindTest, AgreesWithTheCLibrary) {
  Both both;
  Descend(7, &both);
  ExpectSame(both);
}

// Through a function of the C library that calls back, which keeps no frame pointer.
TEST(UnwindTest, GoesThroughTheCLibrary) {
  static Both both;
  int numbers[] = {2, 1};
  qsort(numbers, 2, sizeof(int), [](const void* a, const void* b) {
    WalkBoth(&both);
    return *static_cast<const int*>(a) - *static_cast<const int*>(b);
  });
  ExpectSame(both);
}
#endif

TEST(UnwindTest, EndsOnRegistersThatMeanNothing) {
  modules.Load();
  uintptr_t frames[kMost];
  for (uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{0x6261}, ~uint64_t{0}, uint64_t{1} << 63}) {
    Registers registers;
    for (uint64_t& r : registers.value) r = value;
    EXPECT_GE(Unwind(modules, registers, frames, kMost), 1u);
    // In code, on a stack that is none.
    registers.value[kReturnRegister] = reinterpret_cast<uintptr_t>(&WalkBoth);
    EXPECT_GE(Unwind(modules, registers, frames, kMost), 1u);
  }
}

TEST(ModulesTest, FindsTheFunctionOfAnAddress) {
  modules.Load();
  const auto address = reinterpret_cast<uintptr_t>(&Descend);
  const ModuleMapping* mapping = modules.Find(address);
  ASSERT_NE(mapping, nullptr);
  const ElfFile* file = modules.FileOf(*mapping);
  ASSERT_NE(file, nullptr);
  uint64_t in_file;
  ASSERT_TRUE(file->AddressOf(address - mapping->start + mapping->offset, &in_file));
  ElfFile::Symbol symbol;
  ASSERT_TRUE(file->FindFunction(in_file + 3, &symbol));
  EXPECT_NE(strstr(symbol.name, "Descend"), nullptr) << symbol.name;
  EXPECT_EQ(symbol.start, in_file);
  EXPECT_EQ(modules.Find(reinterpret_cast<uintptr_t>(&modules)), nullptr);  // no code
  modules.Close();
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
