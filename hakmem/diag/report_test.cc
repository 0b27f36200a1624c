// What reports say, of each fault and each kind of address.
#include "hakmem/diag/report.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/diag/address_info.h"
#include "hakmem/diag/check.h"
#include "hakmem/diag/report_parts.h"
#include "hakmem/diag/report_text.h"

namespace hakmem {
namespace {

using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

bool Contains(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

// The first line, and the one that explains it.
std::string ReportOf(Fault fault) {
  CaptureStderr();
  ReportFault(fault, "free", reinterpret_cast<void*>(uintptr_t{0x1230}), "and a detail");
  return GetCapturedStderr();
}

class OnErrorTest : public ::testing::Test {
 protected:
  void SetUp() override { g_options.on_error = static_cast<uint64_t>(OnError::kContinue); }
  void TearDown() override { g_options.on_error = static_cast<uint64_t>(OnError::kDefault); }
};

TEST_F(OnErrorTest, EachFaultIsNamedAndExplained) {
  std::set<std::string> names;
  std::set<std::string> explanations;
  for (const Fault fault : {Fault::kForeignPointer, Fault::kInteriorPointer, Fault::kDoubleFree, Fault::kWrongSize,
                            Fault::kWrittenPastEnd, Fault::kWrittenAfterFree, Fault::kCorruption}) {
    const std::string report = ReportOf(fault);
    const size_t first = report.find('\n');
    const size_t second = report.find('\n', first + 1);
    ASSERT_NE(second, std::string::npos);
    const std::string name = report.substr(0, first);
    EXPECT_EQ(name.rfind("hakmem: free(0x1230): ", 0), 0u) << name;
    EXPECT_TRUE(Contains(name, "; and a detail")) << name;
    names.insert(name);
    const std::string explanation = report.substr(first + 1, second - first - 1);
    EXPECT_EQ(explanation.rfind("hakmem:   The program ", 0), 0u) << explanation;
    explanations.insert(explanation);
    EXPECT_TRUE(Contains(report, "stack of thread")) << report;
  }
  EXPECT_EQ(names.size(), 7u);
  EXPECT_EQ(explanations.size(), 7u);
  // Later ones in their first line.
  std::string report;
  for (int i = 0; i < 16; ++i) report = ReportOf(Fault::kDoubleFree);
  EXPECT_EQ(report, "hakmem: free(0x1230): block that is free already (double free); and a detail\n");
}

TEST(ReportDeathTest, AFaultEndsTheProgram) {
  EXPECT_DEATH(ReportFault(Fault::kDoubleFree, "free", nullptr, ""), "block that is free already");
}

TEST(ReportDeathTest, ACheckThatFailsSaysWhatAndWhere) {
  EXPECT_DEATH(HAK_CHECK(1 + 1 == 3),
               "hakmem: fatal: 1 \\+ 1 == 3 \\(report_test.cc:[0-9]+\\)\n"
               "hakmem:   hakmem found its own bookkeeping wrong.*\n"
               "hakmem:   stack of thread");
}

// The thread makes a report already: no second one is begun, and the program dies all the same.
TEST(ReportDeathTest, ACheckThatFailsInAReportStillEnds) {
  EXPECT_EXIT(
      {
        ASSERT_NE(ReportText::Begin(), nullptr);
        HAK_CHECK(false);
      },
      ::testing::KilledBySignal(SIGABRT), "");
}

AddressInfo described;

std::string TextOf(const AddressInfo& info, uint64_t address = 0x10040) {
  described = info;
  SetDescriber([](const void*, AddressInfo* out) { *out = described; });
  CaptureStderr();
  ReportText* report = ReportText::Begin();
  ReportModules().Load();
  WriteAddress(*report, ReportModules(), "pointer", address);
  ReportModules().Close();
  report->End();
  SetDescriber(nullptr);
  return GetCapturedStderr();
}

AddressInfo InSlab(AddressInfo::State state) {
  AddressInfo info;
  info.place = AddressInfo::Place::kSlab;
  info.state = state;
  info.block = 0x10030;
  info.block_size = 48;
  info.block_index = 1;
  info.size_class = 3;
  info.superslab = 0x10000;
  info.slab = 0x10000;
  info.slab_size = 65536;
  info.slab_in_use = true;
  return info;
}

TEST(WriteAddressTest, ABlockInEachState) {
  using State = AddressInfo::State;
  const std::string live = TextOf(InSlab(State::kLive));
  EXPECT_TRUE(Contains(live, "pointer: 0x10040 is byte 16 of the block 0x10030, 48 bytes, in use by the program\n"))
      << live;
  EXPECT_TRUE(Contains(live, "class 3, block 1 of its slab\n")) << live;
  EXPECT_TRUE(Contains(TextOf(InSlab(State::kFree)), "48 bytes, free\n"));
  EXPECT_TRUE(Contains(TextOf(InSlab(State::kNeverUsed)), "48 bytes, free, was not handed out since its slab began\n"));
  EXPECT_TRUE(Contains(TextOf(InSlab(State::kUnknown)), "48 bytes, in a state that is not known\n"));
  const std::string behind = TextOf(InSlab(State::kNoBlock));
  EXPECT_TRUE(Contains(behind, "pointer: 0x10040 lies behind the last block of its slab\n")) << behind;
  EXPECT_TRUE(Contains(behind, "slab: 0x10000, 64 KiB, in superslab 0x10000; owned by nobody")) << behind;
}

TEST(WriteAddressTest, ASlabOfEachOwner) {
  AddressInfo info = InSlab(AddressInfo::State::kLive);
  EXPECT_TRUE(Contains(TextOf(info), "; owned by nobody\n"));
  info.owner = 7;
  EXPECT_TRUE(Contains(TextOf(info), "; owned by heap 7, which no thread drives now\n"));
  info.owner_driven = true;
  EXPECT_TRUE(Contains(TextOf(info), "; owned by heap 7 of a thread whose number cannot be told\n"));
  info.owner_thread = 1234;
  EXPECT_TRUE(Contains(TextOf(info), "; owned by heap 7 of thread 1234\n"));
  info.slab_in_use = false;
  EXPECT_TRUE(Contains(TextOf(info), "; not in use any more\n"));
}

TEST(WriteAddressTest, WhatIsNoBlockOfASlab) {
  AddressInfo huge;
  huge.place = AddressInfo::Place::kHuge;
  huge.state = AddressInfo::State::kLive;
  huge.block = 0x10000;
  huge.block_size = 4 << 20;
  huge.asked_size = 4000000;
  const std::string text = TextOf(huge, 0x10000);
  EXPECT_TRUE(Contains(text, "pointer: 0x10000 is the block 0x10000, 4194304 bytes (asked for: 4000000), in use"))
      << text;
  EXPECT_TRUE(Contains(text, "a huge block, in pages of its own\n")) << text;
  AddressInfo other;
  other.place = AddressInfo::Place::kBookkeeping;
  EXPECT_TRUE(Contains(TextOf(other), "is in hakmem's own bookkeeping"));
  other.place = AddressInfo::Place::kUnused;
  EXPECT_TRUE(Contains(TextOf(other), "is in hakmem's address space, where no block is now\n"));
  other.place = AddressInfo::Place::kForeign;
  EXPECT_TRUE(Contains(TextOf(other, 24), "pointer: 0x18 is not memory of hakmem's: next to address 0"));
  EXPECT_TRUE(Contains(TextOf(other, 1 << 20), "pointer: 0x100000 is not memory of hakmem's\n"));
  const std::string code = TextOf(other, reinterpret_cast<uintptr_t>(&InSlab) + 1);
  EXPECT_TRUE(Contains(code, "is not memory of hakmem's: code of ")) << code;
  EXPECT_TRUE(Contains(code, "InSlab")) << code;
}

std::string CodeAt(uint64_t address) {
  char buffer[300];
  Format line(buffer, sizeof(buffer));
  ReportModules().Load();
  WriteCode(line, ReportModules(), address, false);
  ReportModules().Close();
  return line.text();
}

TEST(WriteCodeTest, AsFarAsItIsKnown) {
  EXPECT_EQ(CodeAt(0x10), "0x10");  // no code
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const made = mmap(nullptr, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(made, MAP_FAILED);
  EXPECT_EQ(CodeAt(reinterpret_cast<uintptr_t>(made) + 0x20), "?+0x20");  // made while the program ran, without a file
  munmap(made, page);
}

TEST(WriteUntilTest, EndsWhenNobodyReads) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_TRUE(WriteUntil(ends[1], "hello", 5, os::NowMs() + 1000));
  EXPECT_TRUE(WriteUntil(ends[1], "hello", 5, os::NowMs())) << "the time is over, but nobody has to be waited for";
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  const std::string filling(4096, 'x');
  while (write(ends[1], filling.data(), filling.size()) > 0) {
  }
  fcntl(ends[1], F_SETFL, 0);
  EXPECT_FALSE(WriteUntil(ends[1], "hello", 5, os::NowMs() + 20));
  uint64_t least = UINT64_MAX;  // of a few times: a busy machine takes longer now and then
  for (int i = 0; i < 3; ++i) {
    const uint64_t begin = os::NowMs();
    EXPECT_FALSE(WriteUntil(ends[1], "hello", 5, begin));
    least = std::min(least, os::NowMs() - begin);
  }
  EXPECT_LT(least, 1000u);
  close(ends[0]);
  EXPECT_FALSE(WriteUntil(ends[1], "hello", 5, os::NowMs() + 1000));
  close(ends[1]);
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_FALSE(WriteUntil(ends[1], "hello", 5, os::NowMs() + 1000)) << "there is room, but nobody who could read";
  close(ends[1]);
  EXPECT_FALSE(WriteUntil(-1, "hello", 5, os::NowMs() + 50));
}

}  // namespace
}  // namespace hakmem
