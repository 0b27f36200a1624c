#include "hakmem/page_arena/page_arena.h"

#include <errno.h>

#include <cstring>
#include <new>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/arena_test.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/os.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::arena {
namespace {

class PageArenaTest : public ArenaTest {
 protected:
  static char* Take(size_t count, size_t alignment = kPiece) { return static_cast<char*>(Acquire(count, alignment)); }
};

TEST_F(PageArenaTest, RunsAreAlignedAndApart) {
  char* const a = Take(1);
  char* const b = Take(3, 8 * kPiece);
  char* const c = Take(2);
  ASSERT_TRUE(a != nullptr && b != nullptr && c != nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % (8 * kPiece), 0u);
  a[0] = 1;
  b[3 * kPiece - 1] = 2;
  memset(c, 3, 2 * kPiece);
  EXPECT_EQ(a[0], 1);
  EXPECT_EQ(b[3 * kPiece - 1], 2);
  EXPECT_EQ(GetUsage().taken, 6 * kPiece);
  Release(a, 1);
  Release(b, 3);
  Release(c, 2);
  EXPECT_EQ(GetUsage().taken, 0u);
  EXPECT_EQ(GetUsage().idle, 6 * kPiece);
}

TEST_F(PageArenaTest, NoRunHasAnAlignmentBeyondTheWindow) {
  for (int shift = 30; shift < 63; ++shift) {
    const size_t alignment = size_t{1} << shift;
    void* const p = Acquire(1, alignment);
    if (p == nullptr) continue;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u) << shift;
    Discard(p, 1);
  }
}

TEST_F(PageArenaTest, IdlePiecesComeFirstAndAreSaidToBeDirty) {
  char* const low = Take(1);
  char* const high = Take(2);
  EXPECT_FALSE(IsDirty(high, 0));
  Release(high, 2);
  PurgeIdle(SIZE_MAX);
  Release(low, 1);
  char* const again = Take(1);
  EXPECT_EQ(again, low);
  EXPECT_TRUE(IsDirty(again, 0));
  char* const purged = Take(2);
  EXPECT_FALSE(IsDirty(purged, 0));
  Release(again, 1);
  Release(purged, 2);
}

TEST_F(PageArenaTest, PurgeLeavesZeroesAndNoPages) {
  char* const run = Take(4);
  memset(run, 7, 4 * kPiece);
  Release(run, 4);
  EXPECT_EQ(g_idle.idle(), 4 * kPiece);
  EXPECT_EQ(PurgeIdle(kPiece), kPiece);
  EXPECT_EQ(GetUsage().idle, 3 * kPiece);
  EXPECT_EQ(PurgeIdle(SIZE_MAX), 3 * kPiece);
  EXPECT_EQ(PurgeIdle(SIZE_MAX), 0u);
  EXPECT_EQ(g_idle.idle(), 0u);
  EXPECT_EQ(test::ResidentBytes(run, 4 * kPiece), 0);
  char* const again = Take(4);
  EXPECT_FALSE(IsDirty(again, 3));
  EXPECT_TRUE(test::IsZero(again, 4 * kPiece));
  Release(again, 4);
}

TEST_F(PageArenaTest, WhatIsReleasedPurgedIsGoneAtOnce) {
  char* run = Take(3);
  Release(run, 3);
  run = Take(3);
  ASSERT_TRUE(IsDirty(run, 2));
  memset(run, 7, 3 * kPiece);
  ReleasePurged(run + kPiece, 2);
  EXPECT_EQ(GetUsage().taken, kPiece);
  EXPECT_EQ(g_idle.idle(), 0u);
  EXPECT_EQ(test::ResidentBytes(run, 3 * kPiece), static_cast<long>(kPiece));
  char* const again = Take(2);
  ASSERT_EQ(again, run + kPiece);
  EXPECT_FALSE(IsDirty(again, 0));
  EXPECT_FALSE(IsDirty(again, 1));
  EXPECT_TRUE(test::IsZero(again, 2 * kPiece));
  Release(run, 3);
}

TEST_F(PageArenaTest, HugeIsWhatWasAskedForLast) {
  g_options.huge_pages = 1;
  char* const run = Take(2);
  EXPECT_FALSE(IsHuge(run));
  SetHugePages(run, 1, true);
  EXPECT_TRUE(IsHuge(run));
  EXPECT_FALSE(IsHuge(run + kPiece));
  SetHugePages(run, 1, false);
  EXPECT_FALSE(IsHuge(run));
  Release(run, 2);
}

TEST_F(PageArenaTest, ARunGrowsIntoFreePiecesOnly) {
  char* const run = Take(2);
  char* const next = Take(1);
  ASSERT_EQ(next, run + 2 * kPiece);
  EXPECT_FALSE(ExtendInPlace(run, 2, 1));
  Release(next, 1);
  EXPECT_TRUE(ExtendInPlace(run, 2, 2));
  run[4 * kPiece - 1] = 1;
  EXPECT_EQ(GetUsage().taken, 4 * kPiece);
  Release(run, 4);
}

TEST_F(PageArenaTest, UnmapIdleLeavesNothingMapped) {
  char* const kept = Take(1);
  char* const run = Take(3);
  Release(run, 3);
  EXPECT_EQ(UnmapIdle(), 3 * kPiece);
  EXPECT_FALSE(test::IsMapped(run, 3 * kPiece));
  EXPECT_TRUE(test::IsMapped(kept, kPiece));
  Release(kept, 1);
}

// Only what is used again is a refault, which puts purges off.
TEST_F(PageArenaTest, UnmapIdleIsNoUse) {
  Release(Take(32), 32);
  PurgeIdle(SIZE_MAX);
  new (&g_idle) IdleBudget;
  constexpr size_t kTooMuch = size_t{8} << 20;
  const uint64_t now = os::NowMs();  // one for all: what passes on a busy machine would pay the debt off
  g_idle.AddIdle(kTooMuch, now);
  g_idle.AddSetAside(kPiece);
  const size_t excess = g_idle.Excess(now, 0, 3600000);
  ASSERT_NE(excess, 0u);
  EXPECT_EQ(UnmapIdle(), 32 * kPiece);
  EXPECT_EQ(g_idle.Excess(now, 0, 3600000), excess);
  EXPECT_EQ(g_idle.set_aside(), kPiece);
  // As many pieces, used.
  Release(Take(32), 32);
  PurgeIdle(SIZE_MAX);
  char* const run = Take(32);
  EXPECT_EQ(g_idle.Excess(now, 0, 3600000), 0u);
  EXPECT_EQ(g_idle.set_aside(), 0u);
  Discard(run, 32);
  new (&g_idle) IdleBudget;
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST_F(PageArenaTest, WhatCannotBeHadIsNoUse) {
  g_idle.AddSetAside(8 * kPiece);
  {
    test::FailingCalls failing(os::Call::kMap, ENOMEM);
    EXPECT_EQ(Take(4), nullptr);
    EXPECT_GE(failing.seen(), 1u);
  }
  EXPECT_EQ(g_idle.set_aside(), 8 * kPiece);
  char* const run = Take(4);
  EXPECT_EQ(g_idle.set_aside(), 4 * kPiece);
  Discard(run, 4);
  new (&g_idle) IdleBudget;
}
#endif

TEST_F(PageArenaTest, ForeignMappingsAreSetAside) {
  char* const run = Take(1);
  Release(run, 1);
  UnmapIdle();
  test::ForeignMapping foreign(run + kPiece + 4096, 4096, test::ForeignMapping::Access::kReadWrite);
  ASSERT_NE(foreign.get(), nullptr);
  foreign.get()[0] = 9;
  char* const around = Take(4);
  ASSERT_NE(around, nullptr);
  EXPECT_TRUE(around + 4 * kPiece <= foreign.get() || around > foreign.get());
  EXPECT_EQ(GetUsage().taken, 4 * kPiece);
  memset(around, 1, 4 * kPiece);
  EXPECT_EQ(foreign.get()[0], 9);
  Release(around, 4);
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST_F(PageArenaTest, WhatIsReleasedButNotPurgedIsIdle) {
  char* const run = Take(1);
  run[0] = 7;
  {
    test::FailingCalls failing(os::Call::kPurge, ENOMEM);
    ReleasePurged(run, 1);
  }
  EXPECT_EQ(GetUsage().idle, kPiece);
  EXPECT_EQ(g_idle.idle(), kPiece);
  char* const again = Take(1);
  ASSERT_EQ(again, run);
  EXPECT_TRUE(IsDirty(again, 0));
  Release(again, 1);
}

TEST_F(PageArenaTest, WithoutMemoryNothingIsTaken) {
  char* const mine = Take(1);
  {
    test::FailingCalls failing(os::Call::kMap, ENOMEM);
    EXPECT_EQ(Take(2), nullptr);
    EXPECT_FALSE(ExtendInPlace(mine, 1, 4));
    EXPECT_EQ(GetUsage().taken, kPiece);
  }
  {
    Release(mine, 1);
    test::FailingCalls failing(os::Call::kPurge, ENOMEM);
    EXPECT_EQ(PurgeIdle(SIZE_MAX), 0u);
    EXPECT_EQ(GetUsage().idle, kPiece);
  }
  char* const again = Take(2);
  ASSERT_NE(again, nullptr);
  Release(again, 2);
}
#endif

}  // namespace
}  // namespace hakmem::arena
