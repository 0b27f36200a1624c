#include "hakmem/mmap_gate/mmap_gate.h"

#include <errno.h>

#include <atomic>
#include <initializer_list>
#include <thread>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::gate {
namespace {

class MmapGateTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    OpenWindow(true);
    ASSERT_TRUE(HasWindow());
  }
  void TearDown() override { g_options.memory_limit = 0; }
  // A place of the window that no other test uses.
  static char* Place() {
    static uint32_t next = kFirstSuperslab;
    return static_cast<char*>(WindowAddress(next += 4));
  }
};

TEST_F(MmapGateTest, CommitGivesZeroesAndKeepsTheAccount) {
  const uint64_t before = GetAccount().mapped;
  char* const at = Place();
  ASSERT_EQ(Commit(at, kSuperslabSize), Outcome::kDone);
  EXPECT_TRUE(test::IsZero(at, kSuperslabSize));
  EXPECT_EQ(GetAccount().mapped, before + kSuperslabSize);
  EXPECT_GE(GetAccount().mapped_peak, before + kSuperslabSize);
  Unmap(at, kSuperslabSize);
  EXPECT_FALSE(test::IsMapped(at, kSuperslabSize));
  EXPECT_EQ(GetAccount().mapped, before);
}

TEST_F(MmapGateTest, AForeignMappingIsNotReplaced) {
  const uint64_t before = GetAccount().mapped;
  char* const at = Place();
  test::ForeignMapping foreign(at + 4096, 4096, test::ForeignMapping::Access::kReadWrite);
  ASSERT_NE(foreign.get(), nullptr);
  foreign.get()[0] = 9;
  EXPECT_EQ(Commit(at, kSuperslabSize), Outcome::kTaken);
  EXPECT_EQ(foreign.get()[0], 9);
  EXPECT_EQ(GetAccount().mapped, before);
}

TEST_F(MmapGateTest, WhatCannotBeMappedWasNeverMapped) {
  for (const uint64_t limit : {uint64_t{0}, uint64_t{1} << 62}) {
    g_options.memory_limit = limit;
    const Account before = GetAccount();
    EXPECT_EQ(Commit(Place(), size_t{1} << 61), Outcome::kNoMemory);
    EXPECT_EQ(MapOutside(size_t{1} << 61, kSuperslabSize), nullptr);
    EXPECT_EQ(GetAccount().mapped, before.mapped);
    EXPECT_EQ(GetAccount().mapped_peak, before.mapped_peak);
  }
}

// Not for a moment: others would be refused what they may have.
TEST_F(MmapGateTest, WhatTheLimitRefusesTakesNoRoom) {
  g_options.memory_limit = GetAccount().mapped + 8 * kSuperslabSize;
  std::atomic<bool> stop{false};
  std::thread greedy([&stop] {
    while (!stop.load()) EXPECT_EQ(MapOutside(size_t{1} << 40, kSuperslabSize), nullptr);
  });
  char* const at = Place();
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (Commit(at, kSuperslabSize) == Outcome::kDone) {
      Unmap(at, kSuperslabSize);
    } else {
      ++refused;
    }
  }
  stop.store(true);
  greedy.join();
  EXPECT_EQ(refused, 0);
}

TEST_F(MmapGateTest, TheLimitHolds) {
  char* const at = Place();
  const uint64_t before = GetAccount().mapped;
  g_options.memory_limit = before + kSuperslabSize;
  EXPECT_EQ(Commit(at, 2 * kSuperslabSize), Outcome::kNoMemory);
  EXPECT_EQ(MapOutside(2 * kSuperslabSize, kSuperslabSize), nullptr);
  EXPECT_EQ(GetAccount().mapped, before);
  ASSERT_EQ(Commit(at, kSuperslabSize), Outcome::kDone);
  EXPECT_EQ(Commit(at + kSuperslabSize, kSuperslabSize), Outcome::kNoMemory);
  Unmap(at, kSuperslabSize);
}

TEST_F(MmapGateTest, OutsideIsAlignedAndTrimmed) {
  for (size_t alignment = 4096; alignment <= 8 * kSuperslabSize; alignment *= 2) {
    char* const at = static_cast<char*>(MapOutside(kSuperslabSize, alignment));
    ASSERT_NE(at, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % alignment, 0u);
    at[0] = at[kSuperslabSize - 1] = 1;
    Unmap(at, kSuperslabSize);
    EXPECT_FALSE(test::IsMapped(at, 4096));
  }
  EXPECT_EQ(MapOutside(SIZE_MAX - 4096, kSuperslabSize), nullptr);
}

TEST_F(MmapGateTest, PurgeTakesThePagesAndCounts) {
  char* const at = Place();
  ASSERT_EQ(Commit(at, kSuperslabSize), Outcome::kDone);
  for (size_t i = 0; i < kSuperslabSize; i += 4096) at[i] = 1;
  const uint64_t before = GetAccount().purged;
  EXPECT_TRUE(Purge(at, kSuperslabSize));
  EXPECT_EQ(GetAccount().purged, before + kSuperslabSize);
  EXPECT_EQ(test::ResidentBytes(at, kSuperslabSize), 0);
  Unmap(at, kSuperslabSize);
}

TEST_F(MmapGateTest, MetadataIsAlignedZeroAndApart) {
  char* last = nullptr;
  for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (const size_t size : {size_t{1}, size_t{100}, size_t{5000}, size_t{300} << 10}) {
      char* const p = static_cast<char*>(AllocateMetadata(size, alignment));
      ASSERT_NE(p, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
      EXPECT_TRUE(test::IsZero(p, size));
      if (last != nullptr) EXPECT_EQ(*last, 1) << "written over";
      p[0] = p[size - 1] = 1;
      last = p;
    }
  }
  EXPECT_GT(GetAccount().metadata, 0u);
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST_F(MmapGateTest, FailingCallsLeaveTheAccountAsItWas) {
  const uint64_t before = GetAccount().mapped;
  char* const at = Place();
  {
    test::FailingCalls failing(os::Call::kMap, ENOMEM);
    EXPECT_EQ(Commit(at, kSuperslabSize), Outcome::kNoMemory);
    EXPECT_EQ(MapOutside(kSuperslabSize, kSuperslabSize), nullptr);
    EXPECT_EQ(AllocateMetadata(size_t{1} << 20, 64), nullptr);
    EXPECT_EQ(GetAccount().mapped, before);
  }
  ASSERT_EQ(Commit(at, kSuperslabSize), Outcome::kDone);
  {
    test::FailingCalls failing(os::Call::kPurge, ENOMEM);
    EXPECT_FALSE(Purge(at, kSuperslabSize));
  }
  char* const to = Place();
  ASSERT_EQ(Commit(to, kSuperslabSize), Outcome::kDone);
  at[5] = 5;
  {
    test::FailingCalls failing(os::Call::kRemap, ENOMEM);
    EXPECT_FALSE(MoveOnto(at, kSuperslabSize, to, kSuperslabSize));
  }
  EXPECT_EQ(at[5], 5);
  EXPECT_TRUE(MoveOnto(at, kSuperslabSize, to, kSuperslabSize));
  EXPECT_EQ(to[5], 5);
  Unmap(to, kSuperslabSize);
  EXPECT_EQ(GetAccount().mapped, before);
}
#endif

}  // namespace
}  // namespace hakmem::gate
