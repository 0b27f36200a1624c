// Pages move from one place to another also where they are several kernel areas, and move back when that fails halfway.

#include <errno.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::gate {
namespace {

constexpr size_t kPiece = kSuperslabSize;
constexpr size_t kPieces = 4;

// How many areas of the kernel's list touch [p, p + size).
int AreasOf(const char* p, size_t size) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  int areas = 0;
  char line[512];
  while (fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long start;
    unsigned long end;
    if (sscanf(line, "%lx-%lx", &start, &end) != 2) continue;
    areas += start < reinterpret_cast<uintptr_t>(p) + size && end > reinterpret_cast<uintptr_t>(p) ? 1 : 0;
  }
  fclose(maps);
  return areas;
}

class MoveTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    OpenWindow(true);
    ASSERT_TRUE(HasWindow());
  }
  void SetUp() override {
    before_ = GetAccount().mapped;
    static uint32_t next = kFirstSuperslab;
    from_ = static_cast<char*>(WindowAddress(next += 16));
    to_ = static_cast<char*>(WindowAddress(next += 16));
    ASSERT_EQ(Commit(from_, kPieces * kPiece), Outcome::kDone);
    // Different kinds of pages: the kernel keeps them in areas of their own.
    for (size_t i = 0; i < kPieces; ++i) {
      if (i % 2 != 0) AdviseHuge(from_ + i * kPiece, kPiece, false);
      from_[i * kPiece] = from_[(i + 1) * kPiece - 1] = static_cast<char>(i + 1);
    }
    ASSERT_GT(AreasOf(from_, kPieces * kPiece), 1);
  }
  void TearDown() override { EXPECT_EQ(GetAccount().mapped, before_); }
  static void Check(const char* p) {
    for (size_t i = 0; i < kPieces; ++i) {
      EXPECT_EQ(p[i * kPiece], static_cast<char>(i + 1)) << i;
      EXPECT_EQ(p[(i + 1) * kPiece - 1], static_cast<char>(i + 1)) << i;
    }
  }
  uint64_t before_ = 0;
  char* from_ = nullptr;
  char* to_ = nullptr;
};

TEST_F(MoveTest, SeveralAreasMovePieceByPiece) {
  ASSERT_EQ(Commit(to_, (kPieces + 3) * kPiece), Outcome::kDone);
  ASSERT_TRUE(MoveOnto(from_, kPieces * kPiece, to_, (kPieces + 3) * kPiece));
  Check(to_);
  EXPECT_TRUE(test::IsZero(to_ + kPieces * kPiece, 3 * kPiece)) << "the last piece has grown";
  to_[(kPieces + 3) * kPiece - 1] = 1;
  EXPECT_FALSE(test::IsMapped(from_, kPiece));
  EXPECT_EQ(GetAccount().mapped, before_ + (kPieces + 3) * kPiece);
  EXPECT_TRUE(Unmap(to_, (kPieces + 3) * kPiece));
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST_F(MoveTest, WhatFailsHalfwayMovesBack) {
  // Number 0 is the attempt to move all at once, which the kernel refuses by itself.
  for (uint64_t n = 1; n <= kPieces; ++n) {
    ASSERT_EQ(Commit(to_, (kPieces + 3) * kPiece), Outcome::kDone);
    {
      test::FailingCalls failing(os::Call::kRemap, ENOMEM, n, 1);
      EXPECT_FALSE(MoveOnto(from_, kPieces * kPiece, to_, (kPieces + 3) * kPiece)) << n;
      EXPECT_EQ(failing.seen(), n + 1) << "and no more was tried";
    }
    Check(from_);
    // What stood at the target is not there any more: as after page_arena's Discard.
    EXPECT_TRUE(Unmap(to_, (kPieces + 3) * kPiece));
  }
  EXPECT_TRUE(Unmap(from_, kPieces * kPiece));
}

TEST_F(MoveTest, ARefusedUnmapStaysBooked) {
  {
    test::FailingCalls failing(os::Call::kUnmap, ENOMEM);
    EXPECT_FALSE(Unmap(from_, kPieces * kPiece));
  }
  EXPECT_EQ(GetAccount().mapped, before_ + kPieces * kPiece);
  EXPECT_TRUE(test::IsZero(from_, kPieces * kPiece)) << "the memory at least is given back";
  EXPECT_TRUE(Unmap(from_, kPieces * kPiece));
}
#else
TEST_F(MoveTest, UnmapsWhatItHas) { EXPECT_TRUE(Unmap(from_, kPieces * kPiece)); }
#endif

}  // namespace
}  // namespace hakmem::gate
