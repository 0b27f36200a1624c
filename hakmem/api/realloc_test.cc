// realloc and reallocarray, under the hak_ names: every direction keeps what both sizes have in common.

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/api/resident_pages.h"
#include "hakmem/large/huge.h"

namespace hakmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(Realloc, NullAllocates) {
  void* p = hak_realloc(nullptr, 100);
  ASSERT_NE(p, nullptr);
  hak_free(p);
  p = hak_realloc(nullptr, 0);
  EXPECT_NE(p, nullptr);
  hak_free(p);
}

TEST(Realloc, NothingFreesAndGivesNull) {
  const huge::Statistics before = huge::GetStatistics();
  void* p = hak_malloc(4 * kMiB);
  errno = 5;
  EXPECT_EQ(hak_realloc(p, 0), nullptr);
  EXPECT_EQ(errno, 5);
  EXPECT_EQ(huge::GetStatistics().blocks, before.blocks);
  // A small block goes to the list of freed blocks: soon handed out again.
  void* small = hak_malloc(48);
  EXPECT_EQ(hak_realloc(small, 0), nullptr);
  if constexpr (kGuardBuild) hak_trim(0);  // there freed blocks wait
  std::vector<void*> others;
  bool again = false;
  for (int i = 0; i < 100'000 && !again; ++i) {
    others.push_back(hak_malloc(48));
    again = others.back() == small;
  }
  EXPECT_TRUE(again);
  for (void* other : others) hak_free(other);
}

TEST(Realloc, EveryPairOfSizesKeepsThePrefix) {
  const size_t sizes[] = {1,     15,     16,     17,       100,  1000,     1024,     1025,         5000,    32768,
                          32769, 100000, 400000, kMiB - 1, kMiB, kMiB + 1, 2 * kMiB, 2 * kMiB + 1, 5 * kMiB};
  unsigned seed = 0;
  for (size_t from : sizes) {
    for (size_t to : sizes) {
      void* p = hak_malloc(from);
      ASSERT_NE(p, nullptr);
      FillSamples(p, from, ++seed);
      void* q = hak_realloc(p, to);
      ASSERT_NE(q, nullptr);
      EXPECT_TRUE(HoldsSamples(q, from < to ? from : to, from, seed)) << from << " to " << to;
      EXPECT_GE(hak_usable_size(q), to);
      memset(q, 1, to);
      hak_free(q);
    }
  }
}

TEST(Realloc, StaysWhereLittleChanges) {
  void* p = hak_malloc(1000);
  EXPECT_EQ(hak_realloc(p, 990), p);
  EXPECT_EQ(hak_realloc(p, hak_usable_size(p)), p);
  EXPECT_EQ(hak_realloc(p, 600), p);
  // Much less takes a smaller block, so that memory is not held for nothing.
  void* q = hak_realloc(p, 16);
  EXPECT_LE(hak_usable_size(q), 500u);
  hak_free(q);
}

TEST(Realloc, ABlockThatHasGrownLongStaysInPlace) {
  if constexpr (kGuardBuild) return;  // there each block is followed by a guard
  for (const size_t from : {size_t{1000}, size_t{32} << 10, size_t{100} << 10}) {
    void* p = hak_malloc(from);
    FillSamples(p, from, 3);
    void* const grown = hak_realloc(p, size_t{128} << 10);
    EXPECT_TRUE(HoldsSamples(grown, from, from, 3));
    for (size_t size = size_t{129} << 10; size < 2 * kMiB; size += size / 8) {
      ASSERT_EQ(hak_realloc(grown, size), grown) << size;
      EXPECT_GE(hak_usable_size(grown), size);
      EXPECT_LT(hak_usable_size(grown), size + 4096);
    }
    EXPECT_TRUE(HoldsSamples(grown, from, from, 3));
    hak_free(grown);
  }
}

TEST(Realloc, ABlockThatHasGrownShrinksInPlaceToTheHalf) {
  if constexpr (kGuardBuild) return;  // as above
  void* const grown = hak_realloc(hak_malloc(1000), 500 << 10);
  EXPECT_EQ(hak_realloc(grown, 260 << 10), grown);
  EXPECT_EQ(hak_realloc(grown, 140 << 10), grown);
  EXPECT_EQ(hak_realloc(grown, 71 << 10), grown);
  EXPECT_EQ(hak_realloc(grown, 63 << 10), grown) << "back and forth where it got its room";
  void* const copied = hak_realloc(grown, 31 << 10);
  EXPECT_NE(copied, grown);
  hak_free(copied);
}

// Each step is to the half only, but none of them may keep a huge block's memory for a small one.
TEST(Realloc, BlocksThatShrinkStepByStepKeepLittle) {
  const uint64_t before = huge::GetStatistics().blocks;
  std::vector<void*> blocks;
  for (int i = 0; i < 20; ++i) blocks.push_back(hak_malloc(2 * kMiB));
  for (size_t size = kMiB; size >= 8192; size /= 2) {
    for (void*& p : blocks) p = hak_realloc(p, size);
  }
  EXPECT_EQ(huge::GetStatistics().blocks, before);
  for (void* p : blocks) hak_free(p);
}

TEST(Realloc, HugeBlocksGrowInPlaceOrByMovingPages) {
  const huge::Statistics before = huge::GetStatistics();
  hak_trim(0);  // nothing that is resident already
  size_t size = 3 * kMiB;
  void* p = hak_malloc(size);
  FillSamples(p, size, 9);
  void* neighbour = hak_malloc(3 * kMiB);
  for (int i = 0; i < 5; ++i) {
    size *= 2;
    p = hak_realloc(p, size);
    ASSERT_NE(p, nullptr);
  }
  EXPECT_TRUE(HoldsSamples(p, 3 * kMiB, 3 * kMiB, 9));
  const huge::Statistics after = huge::GetStatistics();
  EXPECT_EQ(after.in_place + after.moved, before.in_place + before.moved + 5)
      << "all but the pages would have been copied";
  // Only the pages that were written are there: a copy would have touched the rest, and so do guard words.
  if constexpr (!kGuardBuild) {
    EXPECT_LE(ResidentPages(static_cast<char*>(p) + 6 * kMiB, size - 6 * kMiB), 0u);
  }
  hak_free(neighbour);
  hak_free(p);
}

TEST(Realloc, AHugeBlockShrinksInPlaceAndGivesItsTailBack) {
  char* p = static_cast<char*>(hak_malloc(40 * kMiB));
  memset(p, 1, 40 * kMiB);
  char* q = static_cast<char*>(hak_realloc(p, 5 * kMiB));
  EXPECT_EQ(p, q);
  EXPECT_EQ(hak_usable_size(q), 5 * kMiB);
  EXPECT_FALSE(hak_owns(q + 8 * kMiB));
  hak_free(q);
}

TEST(Realloc, AnAlignedBlockKeepsItsContents) {
  for (size_t alignment : {size_t{64}, size_t{4096}, size_t{65536}, size_t{4} << 20}) {
    void* p = hak_aligned_alloc(alignment, 100);
    FillSamples(p, 100, 3);
    for (size_t size : {size_t{200}, size_t{70000}, 3 * kMiB, size_t{150}}) {
      p = hak_realloc(p, size);
      ASSERT_NE(p, nullptr);
      EXPECT_TRUE(HoldsSamples(p, 100, 100, 3)) << alignment << " " << size;
    }
    hak_free(p);
  }
}

TEST(Realloc, ChainsOfGrowth) {
  // As a string or vector grows, a byte, then a half more each time.
  size_t size = 1;
  char* p = static_cast<char*>(hak_malloc(1));
  p[0] = 'x';
  while (size < 8 * kMiB) {
    const size_t next = size + size / 2 + 1;
    p = static_cast<char*>(hak_realloc(p, next));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(p[size - 1], 'x') << size;
    p[next - 1] = 'x';
    size = next;
  }
  hak_free(p);
}

TEST(Reallocarray, ProductsThatOverflowAreRefused) {
  char* p = static_cast<char*>(hak_malloc(10));
  strcpy(p, "stays");
  volatile size_t half = SIZE_MAX / 2 + 1;
  errno = 0;
  EXPECT_EQ(hak_reallocarray(p, half, 2), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(hak_reallocarray(p, 2, half), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_STREQ(p, "stays");
  p = static_cast<char*>(hak_reallocarray(p, 30, 40));
  EXPECT_GE(hak_usable_size(p), 1200u);
  EXPECT_STREQ(p, "stays");
  EXPECT_EQ(hak_reallocarray(p, 0, 40), nullptr);  // frees
}

}  // namespace
}  // namespace hakmem
