#include "hakmem/diag/unwind.h"

#include <execinfo.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

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

// Code that was made while the program ran: no file, no tables, so that frame pointers are all there is.
TEST(UnwindTest, ByFramePointersWhereThereAreNoTables) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const made = mmap(nullptr, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(made, MAP_FAILED);
  modules.Load();
  const uint64_t code = reinterpret_cast<uintptr_t>(made);
  uint64_t stack[16] = {};
  const auto at = [&](int i) { return reinterpret_cast<uintptr_t>(stack + i); };
  stack[4] = at(8);      // the caller's frame
  stack[5] = code + 64;  // and where it goes on
  stack[8] = at(12);
  stack[9] = code + 128;
  stack[12] = 0;
  stack[13] = 1;  // no address of code: the end
  Registers registers;
  registers.value[kReturnRegister] = code + 16;
  registers.value[kStackRegister] = at(0);
  registers.value[kFrameRegister] = at(4);
  uintptr_t frames[kMost];
  ASSERT_EQ(Unwind(modules, registers, frames, kMost), 3u);
  EXPECT_EQ(frames[0], code + 16);
  EXPECT_EQ(frames[1], code + 64);
  EXPECT_EQ(frames[2], code + 128);
  EXPECT_EQ(Unwind(modules, registers, frames, 2), 2u);  // as many as are asked for
  // Only upwards, and only where frames can stand.
  for (const uint64_t frame : {at(0) - 64, at(4) + 4, uint64_t{0}}) {
    registers.value[kFrameRegister] = frame;
    EXPECT_EQ(Unwind(modules, registers, frames, kMost), 1u);
  }
  munmap(made, page);
}

#if defined(__x86_64__)
// A call of a pointer to nowhere has pushed where it came from, which no frame tells.
TEST(UnwindTest, AJumpToNowhereCameFromACall) {
  modules.Load();
  const uint64_t caller = reinterpret_cast<uintptr_t>(&WalkBoth) + 1;
  uint64_t stack[4] = {caller, 0, 0, 0};
  Registers registers;
  registers.value[kReturnRegister] = 16;
  registers.value[kStackRegister] = reinterpret_cast<uintptr_t>(stack);
  uintptr_t frames[kMost];
  ASSERT_GE(Unwind(modules, registers, frames, kMost), 2u);
  EXPECT_EQ(frames[0], 16u);
  EXPECT_EQ(frames[1], caller);
}
#endif

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

}  // namespace
}  // namespace hakmem
