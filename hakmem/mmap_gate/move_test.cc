// Pages move from one place to another also where they are several kernel areas. What fails at the first of them has
// not moved; what fails later on is copied.

#include <errno.h>
#include <sys/mman.h>

#include <atomic>
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
// What the kernel does when it refuses an mremap, and what others do meanwhile.
struct Refusal {
  uint64_t number = 0;           // of the call that is refused; 0 is that for the whole block
  char* unmap = nullptr;         // where it has unmapped its target
  size_t unmap_size = 0;         // and how much of it
  char* from = nullptr;          // where something has moved nonetheless
  char* to = nullptr;            // and to where
  size_t moved = 0;              // and how much
  uint64_t maps_refused = 0;     // how many calls of mmap are refused from then on
  uint64_t unmaps_refused = 0;   // and of munmap
  std::atomic<uint64_t> remaps;  // seen so far
};
Refusal refusal;

int Refuse(os::Call call) {
  if (call == os::Call::kMap && refusal.remaps > refusal.number && refusal.maps_refused != 0) {
    --refusal.maps_refused;
    return ENOMEM;
  }
  if (call == os::Call::kUnmap && refusal.remaps > refusal.number && refusal.unmaps_refused != 0) {
    --refusal.unmaps_refused;
    return ENOMEM;
  }
  if (call != os::Call::kRemap || refusal.remaps++ != refusal.number) return 0;
  if (refusal.unmap_size != 0) munmap(refusal.unmap, refusal.unmap_size);
  if (refusal.moved != 0) {
    mremap(refusal.from, refusal.moved, refusal.moved, MREMAP_MAYMOVE | MREMAP_FIXED, refusal.to);
  }
  return ENOMEM;
}

class HalfwayTest : public MoveTest {
 protected:
  static constexpr size_t kNewSize = (kPieces + 3) * kPiece;

  void SetUp() override {
    MoveTest::SetUp();
    refusal.number = refusal.unmap_size = refusal.moved = refusal.maps_refused = refusal.unmaps_refused = 0;
    refusal.remaps = 0;
    ASSERT_EQ(Commit(to_, kNewSize), Outcome::kDone);
    // Idle memory holds what it held.
    memset(to_ + kPieces * kPiece - 8192, 99, 8192);
  }
  bool Move(size_t new_size = kNewSize) {
    os::SetFaultHook(Refuse);
    const bool moved = MoveOnto(from_, kPieces * kPiece, to_, new_size);
    os::SetFaultHook(nullptr);
    return moved;
  }
  // All is at the target, in full, and nowhere else.
  void ExpectMoved() {
    Check(to_);
    EXPECT_TRUE(test::IsZero(to_ + 1, kPiece - 2));
    EXPECT_TRUE(test::IsZero(to_ + (kPieces - 1) * kPiece + 1, kPiece - 2)) << "nothing is left of what lay there";
    ASSERT_TRUE(test::IsMapped(to_, kNewSize));
    to_[kNewSize - 1] = 1;
    for (size_t i = 0; i < kPieces; ++i) EXPECT_FALSE(test::IsMapped(from_ + i * kPiece, 4096)) << i;
    EXPECT_EQ(GetAccount().mapped, before_ + kNewSize);
    EXPECT_TRUE(Unmap(to_, kNewSize));
  }
};

TEST_F(HalfwayTest, WhatFailsAtOnceHasNotMoved) {
  refusal.number = 1;  // the call for all is refused by the kernel itself
  EXPECT_FALSE(Move());
  EXPECT_EQ(refusal.remaps, 2u) << "and no more was tried";
  Check(from_);
  EXPECT_TRUE(Unmap(to_, kNewSize));
  EXPECT_TRUE(Unmap(from_, kPieces * kPiece));
}

TEST_F(HalfwayTest, WithoutMemoryForTheTargetNothingMoves) {
  refusal.unmap = to_;
  refusal.unmap_size = kNewSize;
  refusal.maps_refused = 1;
  EXPECT_FALSE(Move());
  EXPECT_EQ(refusal.remaps, 1u);
  Check(from_);
  EXPECT_TRUE(Unmap(to_, kNewSize));
  EXPECT_TRUE(Unmap(from_, kPieces * kPiece));
}

TEST_F(HalfwayTest, ATargetThatIsGoneIsMappedAnew) {
  refusal.unmap = to_ + kPiece;
  refusal.unmap_size = 2 * kPiece;
  EXPECT_TRUE(Move());
  ExpectMoved();
}

// The piece that fails: each but the first.
class HalfwayAtTest : public HalfwayTest, public testing::WithParamInterface<uint64_t> {
 protected:
  void SetUp() override {
    HalfwayTest::SetUp();
    refusal.number = 1 + GetParam();
  }
  char* TargetOfIt() const { return to_ + GetParam() * kPiece; }
  size_t SizeOfIt() const { return GetParam() == kPieces - 1 ? kNewSize - GetParam() * kPiece : kPiece; }
};

TEST_P(HalfwayAtTest, WhatIsLeftIsCopied) {
  EXPECT_TRUE(Move());
  EXPECT_EQ(refusal.remaps, refusal.number + 1) << "and no more was tried";
  ExpectMoved();
}

TEST_P(HalfwayAtTest, AlsoWhereItsTargetIsGone) {
  refusal.unmap = TargetOfIt();
  refusal.unmap_size = SizeOfIt();
  EXPECT_TRUE(Move());
  ExpectMoved();
}

// One refusal: the target is mapped whole. Two: piece by piece. More: the third way has to be waited for.
TEST_P(HalfwayAtTest, AlsoWhereOthersTookTheMemory) {
  for (const uint64_t refused : {1, 2, 3, 8}) {
    if (refused != 1) SetUp();
    refusal.unmap = TargetOfIt();
    refusal.unmap_size = SizeOfIt();
    refusal.maps_refused = refused;
    EXPECT_TRUE(Move());
    EXPECT_EQ(refusal.maps_refused, 0u);
    ExpectMoved();
  }
}

TEST_P(HalfwayAtTest, WhatStandsIsUsedWhereItCannotBeUnmapped) {
  refusal.unmap = TargetOfIt();
  refusal.unmap_size = SizeOfIt();
  refusal.maps_refused = 1;
  refusal.unmaps_refused = 1;
  EXPECT_TRUE(Move());
  ExpectMoved();
}

TEST_P(HalfwayAtTest, APartOfItMayHaveMoved) {
  constexpr size_t kPart = 5 * 4096;
  char* const from = from_ + GetParam() * kPiece;
  from[kPart - 1] = 21;
  from[kPart] = 22;
  refusal.from = from;
  refusal.to = TargetOfIt();
  refusal.moved = kPart;
  refusal.unmap = TargetOfIt();
  refusal.unmap_size = 9 * 4096;
  EXPECT_TRUE(Move());
  EXPECT_EQ(TargetOfIt()[kPart - 1], 21);
  EXPECT_EQ(TargetOfIt()[kPart], 22);
  TargetOfIt()[kPart - 1] = TargetOfIt()[kPart] = 0;
  ExpectMoved();
}

TEST_P(HalfwayAtTest, OfABlockThatDoesNotGrowTheCallForAllMayHaveMovedAPart) {
  const size_t part = GetParam() * kPiece;
  refusal.number = 0;
  for (size_t i = 0; i < GetParam(); ++i) {
    mremap(from_ + i * kPiece, kPiece, kPiece, MREMAP_MAYMOVE | MREMAP_FIXED, to_ + i * kPiece);
  }
  refusal.unmap = to_ + part;
  refusal.unmap_size = kPiece;
  EXPECT_TRUE(Move(kPieces * kPiece));
  ExpectMoved();
}

INSTANTIATE_TEST_SUITE_P(Pieces, HalfwayAtTest, testing::Range(uint64_t{1}, uint64_t{kPieces}));

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
