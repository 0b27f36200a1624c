// Which pieces of huge blocks lie in huge pages.

#include <cstring>
#include <new>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/large/huge_test.h"
#include "hakmem/page_arena/fill_record.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/os.h"
#include "hakmem/superslab/address_map.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::huge {
namespace {

// Blocks of which the program touches little come to lie in small pages, where that is all they cost.
TEST_F(HugeTest, BlocksThatAreHardlyTouchedGetNoHugePages) {
  if (g_options.huge_pages != 1) return;
  constexpr size_t kSize = 4 * kPiece;
  std::vector<char*> blocks;
  for (int i = 0; i < 30; ++i) {
    char* const p = blocks.emplace_back(Take(kSize));
    p[0] = p[kSize - 1] = 1;
  }
  EXPECT_TRUE(arena::IsHuge(blocks.front())) << "nothing was known then";
  int huge = 0;
  for (char* p : blocks) huge += arena::IsHuge(p) ? 1 : 0;
  EXPECT_LE(huge, 5);
  for (size_t k = 0; k < 4; ++k) EXPECT_FALSE(arena::IsHuge(blocks.back() + k * kPiece)) << k;
  // They are watched on.
  for (char* p : blocks) memset(p, 1, kSize);
  blocks.push_back(Take(kSize));
  EXPECT_TRUE(arena::IsHuge(blocks.back()));
  for (char* p : blocks) Give(p);
}

TEST_F(HugeTest, BlocksThatAreFilledGetHugePagesButForAWitness) {
  if (g_options.huge_pages != 1) return;
  constexpr size_t kSize = 4 * kPiece;
  std::vector<char*> blocks;
  int small = 0;
  for (int i = 0; i < 30; ++i) {
    char* const p = blocks.emplace_back(Take(kSize));
    memset(p, 1, kSize);
    for (size_t k = 0; k < 4; ++k) small += arena::IsHuge(p + k * kPiece) ? 0 : 1;
  }
  EXPECT_GE(small, 1);
  EXPECT_LE(small, 3);
  for (char* p : blocks) Give(p);
}

// Where the system gives huge pages, they cost a fifth more memory at the most, whatever the block was before.
TEST_F(HugeTest, ABlockNeedsLittleMoreThanItUses) {
  const auto resident = [](char* p, size_t size) {
    memset(p, 1, size);
    return static_cast<size_t>(test::ResidentBytes(p, (size + kPiece - 1) / kPiece * kPiece));
  };
  for (const size_t size : {kPiece / 2 + 100'000, kPiece - 600'000, kPiece - 100'000, 2 * kPiece - 500'000,
                            2 * kPiece - 1'000'000, kPiece + 100'000, 5 * kPiece - 1'000'000}) {
    char* const p = Take(size);
    EXPECT_LE(resident(p, size), size + size / 5 + 4096) << size;
    Give(p);
    arena::PurgeIdle(SIZE_MAX);
  }
  // Shrunk, before it was touched.
  char* p = Take(2 * kPiece - 400'000);
  ASSERT_EQ(Change(p, kPiece + 50'000), p);
  EXPECT_LE(resident(p, kPiece + 50'000), kPiece + 50'000 + kPiece / 8);
  Give(p);
  arena::PurgeIdle(SIZE_MAX);
  // To read as zero, where a block that was full has been.
  p = Take(2 * kPiece);
  memset(p, 1, 2 * kPiece);
  Give(p);
  arena::PurgeIdle(SIZE_MAX);
  EXPECT_EQ(Take(kPiece + 50'000, kPiece, true), p);
  p[0] = 1;
  EXPECT_EQ(test::ResidentBytes(p, 2 * kPiece), 4096) << "its pages come one by one";
  EXPECT_LE(resident(p, kPiece + 50'000), kPiece + 50'000 + kPiece / 8);
  Give(p);
}

TEST_F(HugeTest, TheLastPieceGetsAHugePageWhereThatCostsAFifthAtMost) {
  const auto pieces_asked_for = [](size_t size) {
    // Small pages first, whatever these pieces were before.
    for (int i = 0; i < 2; ++i) {
      Give(Take(kPiece / 2));
      arena::PurgeIdle(SIZE_MAX);
    }
    char* const first = Take(kPiece / 2);
    char* const second = Take(kPiece / 2);
    EXPECT_EQ(second, first + kPiece);
    Give(second);
    Give(first);
    arena::PurgeIdle(SIZE_MAX);
    new (&arena::g_fill) arena::FillRecord;
    char* const p = Take(size);
    EXPECT_EQ(p, first);
    uint64_t asked = 0;
    for (size_t i = 0; i * kPiece < size; ++i) {
      const uint64_t before = os::CallCount(os::Call::kAdvise);
      arena::SetHugePages(p + i * kPiece, 1, true);
      if (os::CallCount(os::Call::kAdvise) == before) ++asked;
    }
    Give(p);
    arena::PurgeIdle(SIZE_MAX);
    return asked;
  };
  EXPECT_EQ(pieces_asked_for(kPiece - 4096), 0);
  EXPECT_EQ(pieces_asked_for(kPiece), 1);
  EXPECT_EQ(pieces_asked_for(kPiece * 5 / 3 - 4096), 1);
  EXPECT_EQ(pieces_asked_for(kPiece * 5 / 3 + 4096), 2);
  EXPECT_EQ(pieces_asked_for(kPiece * 3 + kPiece / 2), 4);
  EXPECT_EQ(pieces_asked_for(kPiece * 4 + 4096), 4);
  EXPECT_EQ(pieces_asked_for(kPiece * 5 + 4096), 6) << "a header more than a round number";
}

// One page fault instead of hundreds for what is still to be touched of its first piece.
TEST_F(HugeTest, AShortBlockThatGrowsIsCopiedIntoHugePages) {
  const auto growing = [&](size_t from, size_t to) {
    char* const p = Take(from);
    arena::SetHugePages(p, 1, false);
    memset(p, 7, from);
    char* const grown = Change(p, to);
    EXPECT_NE(grown, nullptr);
    for (size_t i = 0; i < from; i += 512) EXPECT_EQ(grown[i], 7) << i;
    EXPECT_GE(UsableSize(address_map::RegionOf(grown)), to);
    EXPECT_EQ(address_map::RegionOf(grown + to - 1), address_map::RegionOf(grown));
    EXPECT_EQ(arena::GetUsage().taken, (to + kPiece - 1) / kPiece * kPiece);
    EXPECT_EQ(arena::IsHuge(grown), to >= kPiece * 5 / 6 + 4096);
    if (grown != p) {
      EXPECT_EQ(address_map::RegionOf(p), nullptr);
      EXPECT_EQ(test::ResidentBytes(p, kPiece), 0);
    }
    memset(grown, 1, to);
    Give(grown);
    ReleaseKept();
    return grown != p;
  };
  const bool copies = os::HugePagesReturn();
  EXPECT_EQ(growing(kPiece / 2, kPiece), copies);
  EXPECT_EQ(growing(kPiece / 2, 3 * kPiece + 5), copies);
  EXPECT_EQ(growing(kPiece / 2 + 4096, kPiece - 99'999), copies) << "a part is not used";
  EXPECT_EQ(growing(kPiece / 8 * 5, kPiece), copies);
  EXPECT_FALSE(growing(kPiece / 8 * 5 + 4096, kPiece)) << "little is left to be touched";
  EXPECT_FALSE(growing(kPiece / 2, kPiece * 5 / 6 - 4096)) << "more than a fifth would not be used";
  EXPECT_EQ(GetStatistics().moved, before_.moved + (copies ? 4 : 0));
}

TEST_F(HugeTest, ABlockThatGrowsInAHugePageIsNotCopied) {
  char* const p = static_cast<char*>(AllocateWithRoom(kPiece / 2));
  memset(p, 7, kPiece / 2);
  char* const grown = Change(p, kPiece);
  ASSERT_EQ(grown != p, os::HugePagesReturn());
  memset(grown, 7, kPiece);
  Give(grown);
  // The next one has it, whatever it begins with.
  ASSERT_EQ(AllocateWithRoom(kSlabSize), grown);
  for (size_t size = 2 * kSlabSize; size <= kPiece; size *= 2) EXPECT_EQ(Change(grown, size), grown);
  Give(grown);
}

TEST_F(HugeTest, ABlockThatShrinksAndGrowsStaysInItsHugePage) {
  char* const p = Take(kPiece);
  memset(p, 7, kPiece);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(Change(p, kPiece / 2 + 4096), p);
    EXPECT_TRUE(arena::IsHuge(p)) << "it is there";
    ASSERT_EQ(Change(p, kPiece), p);
  }
  EXPECT_EQ(p[0], 7);
  EXPECT_EQ(GetStatistics().moved, before_.moved);
  Give(p);
}

TEST_F(HugeTest, ABlockOfWhichLittleIsUsedIsNotCopied) {
  char* const p = Take(kPiece / 2);
  arena::SetHugePages(p, 1, false);
  memset(p, 7, kPiece / 2 / 4 * 3 - 4096);
  EXPECT_EQ(Change(p, kPiece), p);
  EXPECT_LE(test::ResidentBytes(p, kPiece), static_cast<long>(kPiece / 2 / 4 * 3));
  EXPECT_EQ(GetStatistics().moved, before_.moved);
  Give(p);
}

TEST_F(HugeTest, NothingIsCopiedWhereMemoryIsLimitedOrHugePagesAreNotWanted) {
  const Options options = g_options;
  for (const bool limited : {false, true}) {
    (limited ? g_options.memory_limit : g_options.huge_pages) = limited ? uint64_t{1} << 30 : 0;
    char* const p = Take(kPiece / 2);
    memset(p, 7, kPiece / 2);
    EXPECT_EQ(Change(p, kPiece), p) << limited;
    Give(p);
    g_options = options;
  }
}

size_t HugePiecesOf(const char* p, size_t size) {
  size_t huge = 0;
  for (size_t at = 0; at < size; at += kPiece) huge += arena::IsHuge(p + at) ? 1 : 0;
  return huge;
}

// A page in each piece would make all of it resident.
TEST_F(HugeTest, ALongBlockGetsHugePagesForAPartUntilOneWasFilled) {
  if (g_options.huge_pages != 1) return;
  constexpr size_t kSize = 60 * kPiece;
  char* p = Take(kSize);
  EXPECT_EQ(HugePiecesOf(p, kSize), 8u);
  p = Change(p, 2 * kSize);
  EXPECT_LE(HugePiecesOf(p, 2 * kSize), 16u) << "nobody has touched it";
  Give(p);
  for (int i = 0; i < 3; ++i) {
    p = Take(kSize);
    memset(p, 1, kSize);
    Give(p);
    arena::PurgeIdle(SIZE_MAX);
  }
  p = Take(kSize);
  EXPECT_GE(HugePiecesOf(p, kSize), 32u);
  Give(p);
}

TEST_F(HugeTest, NeitherAShrinkNorAMoveGivesHugePages) {
  if (g_options.huge_pages != 1) return;
  constexpr size_t kSize = 60 * kPiece;
  char* p = Take(kSize);
  p = Change(p, kSize - 2 * os::PageSize());
  EXPECT_EQ(HugePiecesOf(p, kSize), 8u);
  char* const behind = Take(kPiece);
  char* const moved = Change(p, kSize + 10 * kPiece);
  EXPECT_NE(moved, p);
  EXPECT_LE(HugePiecesOf(moved, kSize + 10 * kPiece), 16u);
  Give(moved);
  Give(behind);
}

// They may hold other bytes, for all that is known, but nothing of them is there.
TEST_F(HugeTest, PiecesThatWereFreedUntouchedAreTrustedNoMoreThanOthers) {
  if (g_options.huge_pages != 1) return;
  constexpr size_t kSize = 60 * kPiece;
  g_options.idle_keep = SIZE_MAX / 2;
  for (int round = 0; round < 2; ++round) {
    char* const p = Take(kSize);
    EXPECT_EQ(HugePiecesOf(p, kSize), 8u) << round;
    Give(p);
  }
}

TEST_F(HugeTest, WhatAFilledBlockGrowsByIsTrusted) {
  if (g_options.huge_pages != 1) return;
  char* p = Take(4 * kPiece);
  for (size_t pieces = 4; pieces < 100; pieces *= 2) {
    memset(p, 1, pieces * kPiece);
    p = Change(p, 2 * pieces * kPiece);
    EXPECT_GE(HugePiecesOf(p, 2 * pieces * kPiece), 2 * pieces - 4) << "but for witnesses";
  }
  Give(p);
}

// To write zeroes into what the program did not touch would make it resident.
TEST_F(HugeTest, ZeroesAreNotWrittenWhereLittleIsResident) {
  constexpr size_t kSize = 20 * kPiece;
  g_options.idle_keep = SIZE_MAX / 2;
  for (int round = 0; round < 3; ++round) {
    char* const p = Take(kSize, kPiece, true);
    EXPECT_LE(test::ResidentBytes(p, kSize), kSize / 8) << round;
    // Where there was something: to read the rest would make it resident, too.
    for (size_t at = 0; at < kSize; at += kPiece / 4) EXPECT_EQ(p[at], 0) << round;
    Give(p);
    char* const q = Take(kSize);
    for (size_t at = 8 * kPiece; at < kSize; at += kPiece / 4) q[at] = 1;
    Give(q);
  }
}

}  // namespace
}  // namespace hakmem::huge
