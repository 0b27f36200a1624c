#include "hakmem/large/huge.h"

#include <errno.h>

#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/large/huge_test.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/os.h"
#include "hakmem/superslab/address_map.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::huge {
namespace {

TEST_F(HugeTest, ZeroedEvenWhereThePiecesWereUsed) {
  char* p = Take(3 * kPiece);
  memset(p, 7, 3 * kPiece);
  Give(p);
  p = Take(3 * kPiece - 100, kPiece, true);
  EXPECT_TRUE(test::IsZero(p, 3 * kPiece - 100));
  EXPECT_GE(UsableSize(address_map::RegionOf(p)), 3 * kPiece - 100);
  Give(p);
}

// However fast they are freed: the clock that the look at idle memory follows ticks every few milliseconds.
TEST_F(HugeTest, ABurstDoesNotStay) {
  std::vector<char*> blocks;
  for (int i = 0; i < 200; ++i) blocks.push_back(Take(kPiece));
  const size_t before = g_idle.idle();
  for (char* block : blocks) Give(block);
  EXPECT_LE(g_idle.idle(), before + 2 * g_options.idle_keep);
}

TEST_F(HugeTest, ABlockThatIsFreeIsNotResized) {
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  char* const p = Take(4 * kPiece);
  Region* const region = address_map::RegionOf(p);
  Free(p, region);
  const size_t idle = g_idle.idle();
  for (const size_t size : {2 * kPiece, 4 * kPiece, 6 * kPiece}) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(Resize(p, region, size), nullptr);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("double free"), std::string::npos);
  }
  EXPECT_EQ(g_idle.idle(), idle);
  EXPECT_EQ(arena::GetUsage().taken, 0u);
}

TEST_F(HugeTest, AShortBlockIsKeptForTheNext) {
  const size_t idle = g_idle.idle();
  char* const p = Take(kPiece - 9999);
  Give(p);
  EXPECT_EQ(g_idle.idle(), idle + kPiece);
  EXPECT_EQ(arena::GetUsage().taken, kPiece);
  EXPECT_EQ(GetStatistics().blocks, before_.blocks);
  EXPECT_EQ(Take(kPiece - 99), p) << "of another length, in as many pieces";
  EXPECT_EQ(g_idle.idle(), idle);
  EXPECT_EQ(UsableSize(address_map::RegionOf(p)), kPiece);
  Give(p);
  // Not for one that is aligned to more.
  char* const aligned = Take(kPiece, 2 * kPiece);
  EXPECT_EQ(g_idle.idle(), arena::GetUsage().idle) << "given up: it may have been what was wanted";
  Give(aligned);
}

TEST_F(HugeTest, TheOneFreedLastIsKept) {
  g_options.idle_keep = 16 * kPiece;
  char* const first = Take(kPiece);
  char* const second = Take(2 * kPiece);
  const size_t idle = g_idle.idle();
  Give(first);
  Give(second);
  EXPECT_EQ(arena::GetUsage().taken, 2 * kPiece) << "of the other one the arena knows";
  EXPECT_EQ(g_idle.idle(), idle + 3 * kPiece);
  EXPECT_EQ(address_map::RegionOf(first), nullptr);
  EXPECT_EQ(Take(2 * kPiece), second);
  EXPECT_EQ(Take(kPiece), first);
  EXPECT_EQ(g_idle.idle(), idle);
  Give(first);
  Give(second);
}

TEST_F(HugeTest, ABlockGrowsIntoTheKeptOneBehindIt) {
  const uint64_t in_place = GetStatistics().in_place;
  char* const p = Take(4 * kPiece);
  char* const behind = Take(2 * kPiece);
  ASSERT_EQ(behind, p + 4 * kPiece);
  Give(behind);
  ASSERT_EQ(arena::GetUsage().taken, 6 * kPiece);
  EXPECT_EQ(Change(p, 5 * kPiece), p);
  EXPECT_EQ(GetStatistics().in_place, in_place + 1);
  EXPECT_EQ(arena::GetUsage().taken, 5 * kPiece);
  Give(p);
}

TEST_F(HugeTest, OtherBlocksUseWhatIsKeptBeforeNewMemory) {
  char* const p = Take(2 * kPiece);
  Give(p);
  EXPECT_EQ(Take(kPiece, kPiece, true), p);
  EXPECT_EQ(arena::GetUsage().taken, kPiece);
  Give(p);
}

TEST_F(HugeTest, WhatIsKeptGoesBackWithTheRest) {
  char* const p = Take(kPiece);
  memset(p, 1, kPiece);
  Give(p);
  EXPECT_GE(arena::PurgeIdle(SIZE_MAX), kPiece);
  EXPECT_EQ(g_idle.idle(), 0u);
  EXPECT_EQ(test::ResidentBytes(p, kPiece), 0);
  EXPECT_EQ(address_map::RegionOf(p), nullptr);
  Give(Take(kPiece));
  EXPECT_GE(arena::UnmapIdle(), kPiece);
  EXPECT_EQ(arena::GetUsage().taken, 0u);
}

TEST_F(HugeTest, NothingIsKeptWhereIdleMemoryIsNot) {
  const Options options = g_options;
  g_options.idle_keep = kPiece - 1;
  Give(Take(kPiece));
  EXPECT_EQ(arena::GetUsage().taken, 0u);
  g_options = options;
  g_options.purge_delay_ms = 0;
  Give(Take(kPiece));
  EXPECT_EQ(arena::GetUsage().taken, 0u);
  g_options = options;
  Give(Take(3 * kPiece));
  EXPECT_EQ(arena::GetUsage().taken, 0u) << "too long";
}

TEST_F(HugeTest, ABlockWithRoomGrowsWhereItIsAndNeedsWhatItUses) {
  char* const p = static_cast<char*>(AllocateWithRoom(kSlabSize));
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(UsableSize(address_map::RegionOf(p)), kSlabSize);
  memset(p, 1, kSlabSize);
  for (size_t size = 2 * kSlabSize; size < kPiece; size += kSlabSize) ASSERT_EQ(Change(p, size), p);
  EXPECT_EQ(test::ResidentBytes(p, kPiece), static_cast<long>(kSlabSize));
  Give(p);
}

// There a superslab of addresses counts as 2 MiB.
TEST_F(HugeTest, NoBlockHasRoomWhereMemoryIsLimited) {
  g_options.memory_limit = 1 << 30;
  EXPECT_EQ(AllocateWithRoom(kSlabSize), nullptr);
  g_options.memory_limit = 0;
}

TEST_F(HugeTest, FewBlocksHaveRoom) {
  std::vector<char*> blocks;
  const auto take = [] { return static_cast<char*>(AllocateWithRoom(kSlabSize)); };
  for (char* p = take(); p != nullptr; p = take()) blocks.push_back(p);
  EXPECT_EQ(blocks.size(), 16u);
  // Who grows beyond half a superslab is a huge block like any other; who shrinks is not one with room again.
  ASSERT_EQ(Change(blocks[0], kMaxClassed + 1), blocks[0]);
  ASSERT_EQ(Change(blocks[0], kMaxClassed), blocks[0]);
  blocks.push_back(take());
  EXPECT_NE(blocks.back(), nullptr);
  EXPECT_EQ(take(), nullptr);
  // And who ends makes room.
  Give(blocks[1]);
  blocks[1] = take();
  EXPECT_NE(blocks[1], nullptr);
  for (char* p : blocks) Give(p);
  EXPECT_NE(blocks[0] = take(), nullptr);
  Give(blocks[0]);
}

TEST_F(HugeTest, AlignmentBeyondASuperslab) {
  for (size_t alignment = kPiece; alignment <= 64 * kPiece; alignment *= 4) {
    char* const p = Take(kPiece + 1, alignment);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
    Give(p);
  }
}

TEST_F(HugeTest, EveryPieceIsFoundInTheMapWhileTheBlockLives) {
  char* const p = Take(3 * kPiece);
  const Region* region = address_map::RegionOf(p);
  ASSERT_NE(region, nullptr);
  EXPECT_EQ(address_map::RegionOf(p + 3 * kPiece - 1), region);
  EXPECT_EQ(address_map::SlabOf(p), nullptr);
  Give(p);
  EXPECT_EQ(address_map::RegionOf(p), nullptr);
}

TEST_F(HugeTest, GrowsInPlaceWhereThereIsRoomAndMovesPagesWhereNot) {
  char* p = Take(2 * kPiece);
  p[2 * kPiece - 1] = 42;
  EXPECT_EQ(Change(p, 4 * kPiece), p);
  EXPECT_EQ(GetStatistics().in_place, before_.in_place + 1);
  EXPECT_EQ(address_map::RegionOf(p + 4 * kPiece - 1), address_map::RegionOf(p));
  char* const wall = Take(2 * kPiece);
  ASSERT_EQ(wall, p + 4 * kPiece);
  char* const moved = Change(p, 6 * kPiece);
  ASSERT_NE(moved, nullptr);
  EXPECT_NE(moved, p);
  EXPECT_EQ(GetStatistics().moved, before_.moved + 1);
  EXPECT_EQ(moved[2 * kPiece - 1], 42);
  EXPECT_EQ(address_map::RegionOf(p), nullptr);
  EXPECT_EQ(address_map::RegionOf(moved + 6 * kPiece - 1), address_map::RegionOf(moved));
  moved[6 * kPiece - 1] = 1;
  Give(wall);
  Give(moved);
}

TEST_F(HugeTest, ShrinkingGivesPiecesBack) {
  char* const p = Take(4 * kPiece);
  p[0] = 3;
  EXPECT_EQ(Change(p, kPiece + 1), p);
  EXPECT_EQ(arena::GetUsage().taken, 2 * kPiece);
  EXPECT_EQ(address_map::RegionOf(p + 2 * kPiece), nullptr);
  EXPECT_EQ(p[0], 3);
  Give(p);
}

TEST_F(HugeTest, WhatIsLeftOfABlockThatShrinksTellsTheEndOfAPhase) {
  ASSERT_EQ(g_idle.idle(), 0u);
  new (&g_idle) IdleBudget;  // nothing was wanted again in the tests before
  char* p = Take(32 * kPiece);
  const uint64_t now = os::NowMs();
  g_idle.AddIdle(8 * kPiece, now);
  (void)g_idle.Excess(now, 0, g_options.purge_delay_ms);  // takes what time has paid
  g_idle.RemoveIdle(8 * kPiece);
  g_idle.AddRefault(size_t{1} << 30);
  ASSERT_EQ(Change(p, kPiece), p);
  EXPECT_LE(g_idle.idle(), g_options.idle_keep);
  Give(p);
}

TEST_F(HugeTest, MisuseIsReportedAndDoesNothing) {
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  char* const p = Take(2 * kPiece);
  Region* const region = address_map::RegionOf(p);
  Free(p + 16, region);
  EXPECT_EQ(GetStatistics().blocks, before_.blocks + 1);
  Free(p, region);
  Free(p, region);
}

TEST_F(HugeTest, WhatNobodyCanHaveCostsNoIdleMemory) {
  // One that had better be copied.
  char* const p = Take(kPiece / 2);
  memset(p, 1, kPiece / 2);
  Give(Take(5 * kPiece));
  const uint64_t mapped = gate::GetAccount().mapped;
  ASSERT_GE(mapped, 6 * kPiece);
  for (size_t size = size_t{1} << 62; size >> 48 != 0; size /= 2) {
    EXPECT_EQ(Take(size), nullptr);
    EXPECT_EQ(Take(size, kPiece, true), nullptr);
    EXPECT_EQ(Take(kPiece, size), nullptr);
    EXPECT_EQ(Change(p, size), nullptr);
    EXPECT_EQ(gate::GetAccount().mapped, mapped) << size;
  }
  g_options.memory_limit = mapped + 10 * kPiece;
  EXPECT_EQ(Take(g_options.memory_limit + 1), nullptr);
  EXPECT_EQ(Change(p, g_options.memory_limit + 1), nullptr);
  EXPECT_EQ(gate::GetAccount().mapped, mapped);
  // That much is there: what is idle has to go for it.
  char* const most = Take(g_options.memory_limit - kPiece);
  EXPECT_NE(most, nullptr);
  Give(most);
  Give(p);
  g_options.memory_limit = 0;
}

// Who frees or resizes a block a second time may come so late that its metadata are those of another block.
TEST_F(HugeTest, MetadataThatLiveAgainAreAnotherBlocks) {
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  char* const first = Take(4 * kPiece);
  char* const p = Take(4 * kPiece);
  Region* const region = address_map::RegionOf(p);
  Give(first);
  Give(p);
  char* const other = Take(4 * kPiece);
  ASSERT_EQ(address_map::RegionOf(other), region);
  ASSERT_NE(other, p);
  EXPECT_TRUE(IsHeld(region, other));
  EXPECT_FALSE(IsHeld(region, p));
  testing::internal::CaptureStderr();
  Free(p, region);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("double free"), std::string::npos);
  for (const size_t size : {2 * kPiece, 4 * kPiece, 6 * kPiece}) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(Resize(p, region, size), nullptr);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("double free"), std::string::npos);
  }
  EXPECT_EQ(UsableSize(region), 4 * kPiece);
  EXPECT_TRUE(IsHeld(region, other));
  EXPECT_EQ(GetStatistics().blocks, before_.blocks + 1);
  Give(other);
}

// Pieces that were touched while their pages were of different kinds are areas of their own for the kernel, for ever.
TEST_F(HugeTest, MovesABlockThatIsSeveralKernelAreas) {
  char* const p = Take(4 * kPiece);
  for (size_t i = 0; i < 4; ++i) arena::SetHugePages(p + i * kPiece, 1, i % 2 == 0);
  for (size_t i = 0; i < 4; ++i) {
    p[i * kPiece] = p[(i + 1) * kPiece - 1] = static_cast<char>(i + 1);
  }
  char* const wall = Take(2 * kPiece);
  ASSERT_EQ(wall, p + 4 * kPiece);
  char* const moved = Change(p, 7 * kPiece);
  ASSERT_NE(moved, nullptr);
  EXPECT_NE(moved, p);
  EXPECT_EQ(GetStatistics().moved, before_.moved + 1);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(moved[i * kPiece], static_cast<char>(i + 1));
    EXPECT_EQ(moved[(i + 1) * kPiece - 1], static_cast<char>(i + 1));
  }
  moved[7 * kPiece - 1] = 1;
  EXPECT_EQ(address_map::RegionOf(p), nullptr);
  EXPECT_EQ(address_map::RegionOf(moved + 7 * kPiece - 1), address_map::RegionOf(moved));
  Give(wall);
  Give(moved);
}

#if !defined(HAKMEM_BUILD_RELEASE)

// The block stays where it was, whole, or has moved, whole, at whichever piece the kernel refuses.
TEST_F(HugeTest, AMoveThatFailsHalfwayIsCompletedByCopying) {
  // Number 0 is the attempt to move all at once, 1 the first piece.
  for (uint64_t n = 0; n <= 4; ++n) {
    char* p = Take(4 * kPiece);
    for (size_t i = 0; i < 4; ++i) arena::SetHugePages(p + i * kPiece, 1, i % 2 == 0);
    for (size_t i = 0; i < 4; ++i) p[i * kPiece] = static_cast<char>(i + 1);
    char* const wall = Take(2 * kPiece);
    ASSERT_EQ(wall, p + 4 * kPiece);
    arena::UnmapIdle();
    const uint64_t mapped = gate::GetAccount().mapped;
    const uint64_t moves = GetStatistics().moved;
    {
      test::FailingCalls failing(os::Call::kRemap, ENOMEM, n);
      char* const moved = Change(p, 7 * kPiece);
      EXPECT_EQ(moved != nullptr, n > 1) << n;
      if (moved != nullptr) p = moved;
    }
    const size_t pieces = n > 1 ? 7 : 4;
    EXPECT_EQ(GetStatistics().moved, moves + (n > 1 ? 1 : 0)) << n;
    EXPECT_EQ(UsableSize(address_map::RegionOf(p)), pieces * kPiece) << n;
    EXPECT_EQ(arena::GetUsage().taken, (pieces + 2) * kPiece) << n;
    EXPECT_EQ(gate::GetAccount().mapped, mapped + (pieces - 4) * kPiece) << n;
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(p[i * kPiece], static_cast<char>(i + 1)) << n;
    Give(wall);
    Give(p);
    arena::UnmapIdle();
  }
}

TEST_F(HugeTest, WithoutMemoryForACopyItGrowsInPlace) {
  char* const p = Take(kPiece / 2);
  memset(p, 7, kPiece / 2);
  arena::UnmapIdle();
  test::FailingCalls failing(os::Call::kMap, ENOMEM);
  EXPECT_EQ(Change(p, kPiece), p);
  EXPECT_EQ(failing.seen() != 0, os::HugePagesReturn());
  EXPECT_EQ(p[0], 7);
  Give(p);
}

TEST_F(HugeTest, FailingCallsLeaveTheBlockAsItWas) {
  char* const p = Take(2 * kPiece);
  char* const wall = Take(2 * kPiece);
  ASSERT_EQ(wall, p + 2 * kPiece);
  p[2 * kPiece - 1] = 42;
  arena::UnmapIdle();  // else idle pieces serve, without a call
  for (const os::Call call : {os::Call::kMap, os::Call::kRemap}) {
    test::FailingCalls failing(call, ENOMEM);
    EXPECT_EQ(Change(p, 9 * kPiece), nullptr);
  }
  {
    test::FailingCalls failing(os::Call::kMap, ENOMEM);
    arena::UnmapIdle();
    EXPECT_EQ(Take(40 * kPiece), nullptr);
  }
  EXPECT_EQ(UsableSize(address_map::RegionOf(p)), 2 * kPiece);
  EXPECT_EQ(p[2 * kPiece - 1], 42);
  Give(wall);
  char* const grown = Change(p, 9 * kPiece);
  ASSERT_NE(grown, nullptr);
  EXPECT_EQ(grown[2 * kPiece - 1], 42);
  Give(grown);
}
#endif

}  // namespace
}  // namespace hakmem::huge
