// The class table, derived again from what it promises.

#include "hakmem/superslab/size_classes.h"

#include <cstddef>
#include <initializer_list>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

// The next smaller class.
unsigned Below(unsigned c) {
  while (--c != 0 && !IsClass(c)) {
  }
  return c;
}

TEST(SizeClasses, EverySizeGetsTheSmallestClassThatHoldsIt) {
  for (size_t size = 1; size <= kMaxClassed; ++size) {
    const unsigned c = ClassOfSize(size);
    ASSERT_GE(kSizeClasses[c].block_size, size) << size;
    ASSERT_TRUE(IsClass(c)) << size;
    ASSERT_TRUE(c == 1 || kSizeClasses[Below(c)].block_size < size) << size;
  }
}

// So a block of the class is aligned wherever it lies in its slab, and aligned forms need no table of their own.
TEST(SizeClasses, TheClassOfAMultipleOfAnAlignmentIsAMultipleOfIt) {
  for (size_t alignment = 1; alignment <= kSlabSize; alignment *= 2) {
    for (size_t size = alignment; size <= kMaxClassed; size += alignment) {
      ASSERT_EQ(kSizeClasses[ClassOfSize(size)].block_size % alignment, 0u) << alignment << " " << size;
    }
  }
}

TEST(SizeClasses, ClassZeroServesNothing) {
  EXPECT_EQ(ClassOfSize(0), 0u);
  EXPECT_EQ(kSizeClasses[0].block_size, 0u);
  EXPECT_EQ(kSizeClasses[0].capacity, 0u);
}

TEST(SizeClasses, UpToOneKibibyteEachStepHasAListAndSomeShareAClass) {
  unsigned classes = 0;
  for (size_t size = 1; size <= kMaxStepped; ++size) {
    const unsigned list = ListOfSize(size);
    ASSERT_EQ(list, (size + 15) / 16) << size;
    ASSERT_EQ(ClassOfList(list), ClassOfSize(size)) << size;
    ASSERT_EQ(kSizeClasses[ClassOfSize(size)].block_size, ClassOfSize(size) * kMinBlock) << size;
  }
  for (unsigned list = 1; list <= kSteppedClasses; ++list) {
    const unsigned c = ClassOfList(list);
    EXPECT_EQ(ListsOf(c), list <= 16 ? 1u : list <= 32 ? 2u : 4u) << list;
    EXPECT_LT(c - list, ListsOf(c)) << list;
    if (IsClass(list)) ++classes;
    if (!IsClass(list)) EXPECT_EQ(kSizeClasses[list].block_size, 0u) << list;
  }
  EXPECT_EQ(classes, 32u);
  for (unsigned c = kSteppedClasses + 1; c < kClasses; ++c) {
    EXPECT_EQ(ClassOfList(c), c);
    EXPECT_EQ(ListsOf(c), 1u);
  }
}

TEST(SizeClasses, AtMostAnEighthIsWastedInsideABlock) {
  for (size_t size = 129; size <= kMaxClassed; ++size) {
    const size_t waste = kSizeClasses[ClassOfSize(size)].block_size - size;
    ASSERT_LE(waste * 8, kSizeClasses[ClassOfSize(size)].block_size) << size;
  }
}

TEST(SizeClasses, TheTablesOwnFiguresAreTrue) {
  for (unsigned c = 1; c < kClasses; ++c) {
    if (!IsClass(c)) continue;
    const SizeClass& row = kSizeClasses[c];
    const size_t span = row.span * kSlabSize;
    const size_t least = c == 1 ? 1 : kSizeClasses[Below(c)].block_size + 1;
    EXPECT_EQ(row.inner_waste, (row.block_size - least) * 1000 / row.block_size) << c;
    EXPECT_EQ(row.tail_waste, (span - row.capacity * size_t{row.block_size}) * 1000 / span) << c;
    EXPECT_LE(row.capacity * size_t{row.block_size}, span) << c;
    EXPECT_GT((row.capacity + size_t{1}) * row.block_size, span) << c;
    EXPECT_LE(row.span, kMaxSpan) << c;
    EXPECT_EQ(row.block_size % kMinBlock, 0u) << c;
    // A remote word counts and addresses blocks in 16 bits.
    EXPECT_LT(row.capacity, 1u << 16) << c;
    EXPECT_LE(span / kMinBlock, 1u << 16) << c;
  }
}

TEST(SizeClasses, TheReciprocalDividesExactly) {
  for (unsigned c = 1; c < kClasses; ++c) {
    if (!IsClass(c)) continue;
    const SizeClass& row = kSizeClasses[c];
    const size_t span = row.span * kSlabSize;
    for (size_t i = 0; i * row.block_size < span; ++i) {
      const size_t start = i * row.block_size;
      ASSERT_EQ(row.IndexOf(start), i) << c;
      ASSERT_EQ(row.IndexOf(start + row.block_size - 1), i) << c;
      ASSERT_EQ(row.IsBlockAt(start), i < row.capacity) << c;
      for (const size_t inside : {size_t{1}, kMinBlock, size_t{row.block_size} / 2, size_t{row.block_size} - 1}) {
        if (inside < row.block_size) ASSERT_FALSE(row.IsBlockAt(start + inside)) << c << " " << start << " " << inside;
      }
    }
  }
}

}  // namespace
}  // namespace hakmem
