// Slabs that will be used from end to end lie in huge pages, all others outside of them.

#include <errno.h>

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/platform/os.h"
#include "hakmem/shared_pool/pool_test.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::pool {
namespace {

const unsigned kClass = ClassOfSize(512);

class HugeSlabsTest : public PoolTest {
 protected:
  // Two superslabs of small pages, the last slot of which is not in use.
  void SetUp() override {
    PoolTest::SetUp();
    g_options.huge_pages = 1;
    for (unsigned i = 1; i < 2 * kSlabsPerSuperslab; ++i) taken_.push_back(&Take(sparse_, kClass));
    dense_.dense = true;
    ASSERT_EQ(GetStatistics().superslabs, 2u);
  }
  void TearDown() override {
    for (Slab* slab : taken_) Give(sparse_, *slab);
    PoolTest::TearDown();
  }
  HAK_NO_ASAN static void Touch(const Slab& slab) { *static_cast<volatile char*>(slab.base()) = 1; }
  static bool IsHuge(const Slab& slab) { return slab.superslab().huge.load(); }

  Cache sparse_;
  Cache dense_;
  std::vector<Slab*> taken_;
};

TEST_F(HugeSlabsTest, NoneInASmallProcess) {
  for (Slab* slab : taken_) EXPECT_FALSE(IsHuge(*slab));
  while (taken_.size() > kSlabsPerSuperslab) {
    Give(sparse_, *taken_.back());
    taken_.pop_back();
  }
  // The second superslab is still there, and not full.
  taken_.push_back(&Take(dense_, kClass));
  EXPECT_EQ(GetStatistics().superslabs, 2u);
}

TEST_F(HugeSlabsTest, ASlabThatWillBeFullGetsAHugePageAndOthersStayOut) {
  Slab& full = Take(dense_, kClass);
  EXPECT_TRUE(IsHuge(full));
  EXPECT_EQ(GetStatistics().superslabs, 3u) << "rather than the last slot of small pages, which was never touched";
  Slab& first = Take(sparse_, kClass);
  EXPECT_FALSE(IsHuge(first));
  EXPECT_EQ(GetStatistics().superslabs, 3u);
  Slab& second = Take(sparse_, kClass);
  EXPECT_FALSE(IsHuge(second)) << "rather than the huge page";
  EXPECT_EQ(GetStatistics().superslabs, 4u);
  Slab& more = Take(dense_, kClass);
  EXPECT_EQ(&more.superslab(), &full.superslab());
  for (Slab* slab : {&full, &first, &second, &more}) Give(sparse_, *slab);
}

// Shells and the like fork again and again: what two processes share of a huge page is copied in small ones.
TEST_F(HugeSlabsTest, AProcessThatForksMuchHasToBeLarge) {
  for (int i = 0; i < 9; ++i) NoteFork(false);
  std::vector<Slab*> others;
  while (others.size() < 2 * kSlabsPerSuperslab) others.push_back(&Take(sparse_, kClass));
  Slab& small = Take(dense_, kClass);
  EXPECT_FALSE(IsHuge(small)) << "the last slot of the fourth superslab";
  Slab& large = Take(dense_, kClass);
  EXPECT_TRUE(IsHuge(large)) << "with four superslabs in use";
  Give(dense_, small);
  Give(dense_, large);
  for (Slab* slab : others) Give(sparse_, *slab);
  NoteFork(true);
}

TEST_F(HugeSlabsTest, AProcessThatForksNowAndThenNeedNotBeLarge) {
  for (int i = 0; i < 8; ++i) NoteFork(false);
  Slab& slab = Take(dense_, kClass);
  EXPECT_TRUE(IsHuge(slab));
  Give(dense_, slab);
  NoteFork(true);
}

TEST_F(HugeSlabsTest, NorNeedTheChildOfOneThatForksMuch) {
  for (int i = 0; i < 9; ++i) NoteFork(false);
  NoteFork(true);
  Slab& slab = Take(dense_, kClass);
  EXPECT_TRUE(IsHuge(slab));
  Give(dense_, slab);
}

// Two spans of eleven slabs, and ten are left over: no huge page is made for them, but one that is there has room.
TEST_F(HugeSlabsTest, BlocksThatFillNoHugePageGetNone) {
  const unsigned c = ClassOfSize(700'000);
  ASSERT_FALSE(FillsSuperslabs(kSizeClasses[c]));
  ASSERT_TRUE(FillsSuperslabs(kSizeClasses[kClass]));
  std::vector<Slab*> taken;
  for (int i = 0; i < 4; ++i) {
    taken.push_back(&Take(dense_, c));
    EXPECT_FALSE(IsHuge(*taken.back()));
  }
  EXPECT_EQ(GetStatistics().superslabs, 4u) << "two in each";
  Slab& full = Take(dense_, kClass);
  ASSERT_TRUE(IsHuge(full));
  taken.push_back(&Take(dense_, c));
  EXPECT_EQ(&taken.back()->superslab(), &full.superslab());
  Give(dense_, full);
  for (Slab* slab : taken) Give(dense_, *slab);
}

TEST_F(HugeSlabsTest, WhatIsResidentServesAll) {
  Slab& full = Take(dense_, kClass);
  Slab& kept = Take(dense_, kClass);
  ASSERT_TRUE(IsHuge(full));
  Give(dense_, full);
  Slab& resident = Take(sparse_, kClass);
  EXPECT_EQ(&resident.superslab(), &kept.superslab()) << "a slot that was given back and not purged";
  Give(sparse_, resident);
  Give(dense_, kept);
}

TEST_F(HugeSlabsTest, APurgeEndsTheHugePage) {
  Slab& full = Take(dense_, kClass);
  Slab& kept = Take(dense_, kClass);
  Give(dense_, full);
  EXPECT_TRUE(IsHuge(kept));
  EXPECT_NE(GiveBackIdle(SIZE_MAX), 0u);
  EXPECT_FALSE(IsHuge(kept));
  Give(dense_, kept);
}

TEST_F(HugeSlabsTest, APurgeGivesBackWhatTheHugePageBroughtUnasked) {
  Slab& kept = Take(dense_, kClass);
  ASSERT_TRUE(IsHuge(kept));
  Touch(kept);
  ASSERT_EQ(g_idle.idle(), 0u);
  GiveBackIdle(SIZE_MAX);
  EXPECT_EQ(test::ResidentBytes(kept.superslab().base() + kSlabSize, kSuperslabSize - kSlabSize), 0);
  EXPECT_EQ(g_idle.idle(), 0u);
  EXPECT_EQ(GiveBackIdle(SIZE_MAX), 0u) << "once";
  Give(dense_, kept);
}

// Also when pages inside of slabs went before, as malloc_trim does.
TEST_F(HugeSlabsTest, APurgeOfPagesForgetsNothingThatTheHugePageBrought) {
  Slab& kept = Take(dense_, kClass);
  Touch(kept);
  {
    OwnedSlab owned = *OwnedSlab::Claim(kept, kWho);
    bool clean;
    const Chain blocks = owned.Carve(64, &clean);
    owned.Push(blocks);
    ASSERT_NE(owned.PurgeFreePages(), 0u);
  }
  ASSERT_FALSE(IsHuge(kept));
  ASSERT_EQ(g_idle.idle(), 0u);
  GiveBackIdle(SIZE_MAX);
  EXPECT_EQ(test::ResidentBytes(kept.superslab().base() + kSlabSize, kSuperslabSize - kSlabSize), 0);
  Give(dense_, kept);
}

TEST_F(HugeSlabsTest, SlotsThatWerePurgedServeSlabsThatMayStayEmpty) {
  Slab& full = Take(dense_, kClass);
  Slab& kept = Take(dense_, kClass);
  Give(dense_, full);
  ASSERT_NE(GiveBackIdle(SIZE_MAX), 0u);
  ASSERT_FALSE(IsHuge(kept));
  EXPECT_EQ(g_idle.set_aside(), kSlabSize);
  taken_.push_back(&Take(sparse_, kClass));  // the last of the small ones
  Slab& sparse = Take(sparse_, kClass);
  EXPECT_EQ(&sparse.superslab(), &kept.superslab());
  EXPECT_EQ(g_idle.set_aside(), 0u);
  Give(sparse_, sparse);
  ASSERT_NE(GiveBackIdle(SIZE_MAX), 0u);
  Slab& dense = Take(dense_, kClass);
  EXPECT_TRUE(IsHuge(dense)) << "a page fault for 32 slots rather than 16 for this one";
  Give(dense_, dense);
  Give(dense_, kept);
}

// What is taken instead of slots that were purged is a refault: a load that goes up and down is left in peace.
TEST_F(HugeSlabsTest, AnotherSuperslabAfterAPurgeIsARefault) {
  std::vector<Slab*> slabs;
  for (unsigned i = 0; i < 5 * kSlabsPerSuperslab; ++i) slabs.push_back(&Take(dense_, kClass));
  // A time of the test's own: what passes on a busy machine would pay the debt off.
  uint64_t now = os::NowMs();
  const auto is_left_in_peace = [&now] {
    g_idle.AddIdle(64 * kSuperslabSize, now);
    const bool peace = g_idle.Excess(now, 0, 3600000) == 0;
    g_idle.RemoveIdle(64 * kSuperslabSize);
    return peace;
  };
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < slabs.size(); ++i) {
      if (i % kSlabsPerSuperslab != 0) Give(dense_, *slabs[i]);
    }
    ASSERT_FALSE(is_left_in_peace()) << round;
    ASSERT_NE(GiveBackIdle(SIZE_MAX), 0u) << round;
    ASSERT_FALSE(is_left_in_peace()) << round;
    for (size_t i = 0; i < slabs.size(); ++i) {
      if (i % kSlabsPerSuperslab != 0) slabs[i] = &Take(dense_, kClass);
    }
    EXPECT_TRUE(is_left_in_peace()) << round;
    // Time pays: a second for all that is remembered, which is more than this.
    now += 1000;
  }
  for (Slab* slab : slabs) Give(dense_, *slab);
}

// Superslabs of which little is in use do not become more and more.
TEST_F(HugeSlabsTest, SlotsThatWerePurgedServeAllWhereSuperslabsAreMany) {
  std::vector<Slab*> kept;
  uint64_t superslabs = 0;
  for (int round = 0; round < 150; ++round) {
    Slab* slabs[4];
    for (Slab*& slab : slabs) slab = &Take(dense_, kClass);
    for (int i = 0; i < 3; ++i) Give(dense_, *slabs[i]);
    kept.push_back(slabs[3]);
    GiveBackIdle(SIZE_MAX);
    superslabs = GetStatistics().superslabs;
    if (round < 100) ASSERT_EQ(superslabs, 2u + static_cast<unsigned>(round) + 1);
  }
  EXPECT_LE(superslabs, 128u + 2 * 7 + 1) << "two for each that 212 slots fill";
  for (Slab* slab : kept) Give(dense_, *slab);
}

// Where addresses count as memory no more of them are taken than need be.
TEST_F(HugeSlabsTest, SlotsThatWerePurgedServeAllWhereMemoryIsLimited) {
  Slab& full = Take(dense_, kClass);
  Slab& kept = Take(dense_, kClass);
  Give(dense_, full);
  ASSERT_NE(GiveBackIdle(SIZE_MAX), 0u);
  g_options.memory_limit = 1 << 30;
  Slab& again = Take(dense_, kClass);
  EXPECT_EQ(&again.superslab(), &kept.superslab());
  Give(dense_, again);
  Give(dense_, kept);
}

// Small pages would come back one by one into what is left of it.
TEST_F(HugeSlabsTest, WhatIsLeftOfAHugePageGoesAsAWhole) {
  std::vector<Slab*> slabs;
  for (unsigned i = 0; i < kSlabsPerSuperslab; ++i) {
    slabs.push_back(&Take(dense_, kClass));
    Touch(*slabs.back());
  }
  char* const base = slabs[0]->superslab().base();
  for (unsigned i = 0; i < 8; ++i) Give(dense_, *slabs[i]);
  ASSERT_NE(GiveBackIdle(SIZE_MAX), 0u);
  EXPECT_EQ(g_idle.set_aside(), 8 * kSlabSize);
  const uint64_t before = GetStatistics().superslabs;
  for (unsigned i = 8; i < kSlabsPerSuperslab; ++i) Give(dense_, *slabs[i]);
  if (os::HugePagesReturn()) {
    EXPECT_EQ(GetStatistics().superslabs, before - 1) << "rather than wait for its next use";
    EXPECT_EQ(test::ResidentBytes(base, kSuperslabSize), 0);
    EXPECT_EQ(g_idle.idle(), 0u);
    EXPECT_EQ(g_idle.set_aside(), 0u) << "the arena knows that it was purged";
  } else {
    EXPECT_EQ(GetStatistics().superslabs, before) << "it would not be a huge page again";
    EXPECT_EQ(g_idle.idle(), 24 * kSlabSize);
  }
}

TEST_F(HugeSlabsTest, AnIdleSuperslabThatIsResidentWaits) {
  std::vector<Slab*> slabs;
  for (unsigned i = 0; i < kSlabsPerSuperslab; ++i) slabs.push_back(&Take(dense_, kClass));
  for (unsigned i = 0; i < 7; ++i) Give(dense_, *slabs[i]);
  ASSERT_NE(GiveBackIdle(SIZE_MAX), 0u);
  const uint64_t before = GetStatistics().superslabs;
  for (unsigned i = 7; i < kSlabsPerSuperslab; ++i) Give(dense_, *slabs[i]);
  EXPECT_EQ(GetStatistics().superslabs, before);
  EXPECT_EQ(g_idle.idle(), 25 * kSlabSize);
}

#if !defined(HAKMEM_BUILD_RELEASE)  // the door of system calls has no hook there
TEST_F(HugeSlabsTest, WithoutMemoryAnySlotWillDo) {
  Slab& kept = Take(dense_, kClass);
  ASSERT_TRUE(IsHuge(kept));
  taken_.push_back(&Take(sparse_, kClass));  // the last of the small ones
  arena::UnmapIdle();
  const test::FailingCalls failing(os::Call::kMap, ENOMEM);
  Slab& slab = Take(sparse_, kClass);
  EXPECT_EQ(&slab.superslab(), &kept.superslab());
  Give(sparse_, slab);
  Give(dense_, kept);
}

TEST_F(HugeSlabsTest, WithoutMemorySmallPagesWillDo) {
  arena::UnmapIdle();
  const test::FailingCalls failing(os::Call::kMap, ENOMEM);
  Slab& full = Take(dense_, kClass);
  EXPECT_FALSE(IsHuge(full));
  Give(dense_, full);
}
#endif

TEST_F(HugeSlabsTest, TheOptionSaysWhether) {
  g_options.huge_pages = 0;
  Slab& full = Take(dense_, kClass);
  EXPECT_FALSE(IsHuge(full));
  EXPECT_EQ(GetStatistics().superslabs, 2u) << "the last slot of small pages";
  Give(dense_, full);
}

// What an early purge leaves of a huge page is slower to reach: it waits until more lies idle than half of what is in
// use, or three quarters of the huge page do.
TEST_F(HugeSlabsTest, HugePagesInUseAreSplitWhereItIsWorthIt) {
  constexpr unsigned kHuge = 16;
  std::vector<Slab*> slabs;
  for (unsigned i = 0; i < kHuge * kSlabsPerSuperslab; ++i) slabs.push_back(&Take(dense_, kClass));
  ASSERT_EQ(GetStatistics().superslabs, 2 + kHuge);
  g_options.idle_keep = 0;
  const auto give = [&](unsigned superslabs, unsigned from, unsigned to) {  // so many slots of each
    for (unsigned slot = from; slot < to; ++slot) {
      for (unsigned i = 0; i < superslabs; ++i) Give(dense_, *slabs[i * kSlabsPerSuperslab + slot]);
    }
  };
  const auto huge = [&] {
    unsigned n = 0;
    for (unsigned i = 0; i < kHuge; ++i) n += IsHuge(*slabs[i * kSlabsPerSuperslab]);
    return n;
  };
  constexpr unsigned kSome = 6;
  give(kSome, 0, 23);
  EXPECT_EQ(g_idle.idle(), kSome * 23 * kSlabSize) << "9 MiB, and 24 in use";
  EXPECT_EQ(huge(), kHuge);
  give(kSome, 23, 25);
  EXPECT_LE(huge(), kHuge - kSome / 2) << "three quarters of them";
  EXPECT_LT(g_idle.idle(), kSome * 23 * kSlabSize / 2);
  give(kHuge, 25, 31);
  EXPECT_GE(huge(), kHuge - kSome) << "another fifth of all";
  for (unsigned slot = 0; slot < 25; ++slot) {
    for (unsigned i = kSome; i < kHuge; ++i) Give(dense_, *slabs[i * kSlabsPerSuperslab + slot]);
    if (slot > 5) EXPECT_LT(g_idle.idle(), GetStatistics().active_slots * kSlabSize / 2 + 2 * kSuperslabSize) << slot;
  }
  EXPECT_EQ(huge(), 0u);
  give(kHuge, 31, 32);
}

// In a process with many superslabs each heap fills its own, so that what a thread frees comes free as a whole.
TEST_F(HugeSlabsTest, HeapsFillSuperslabsOfTheirOwn) {
  constexpr Claimant kOther = {8, 0, 0};
  Cache other;
  other.dense = true;
  std::vector<Slab*> mine;
  std::vector<Slab*> others;
  // While there are few both fill the same ones.
  for (unsigned i = 0; i < 2 * kSlabsPerSuperslab; ++i) {
    mine.push_back(&Take(dense_, kClass));
    others.push_back(&Take(other, kClass, kOther));
    EXPECT_EQ(&mine.back()->superslab(), &others.back()->superslab());
  }
  // With 16 for each number that a heap has.
  while (GetStatistics().superslabs < 16 * kOther.id + 2) mine.push_back(&Take(dense_, kClass));
  const size_t before = mine.size();
  for (unsigned i = 0; i < 2 * kSlabsPerSuperslab; ++i) {
    mine.push_back(&Take(dense_, kClass));
    others.push_back(&Take(other, kClass, kOther));
    EXPECT_NE(&mine.back()->superslab(), &others.back()->superslab());
  }
  // What was in use before is anybody's.
  Slab& resident = *mine[before + kSlabsPerSuperslab];
  Give(dense_, resident);
  std::vector<Slab*> more;
  do {
    more.push_back(&Take(other, ClassOfSize(1024), kOther));
    ASSERT_LE(more.size(), kSlabsPerSuperslab) << "rather than another superslab";
  } while (more.back() != &resident);
  for (Slab* slab : mine) {
    if (slab != &resident) Give(dense_, *slab);
  }
  for (std::vector<Slab*>* slabs : {&others, &more}) {
    for (Slab* slab : *slabs) Give(other, *slab, kOther);
  }
}

}  // namespace
}  // namespace hakmem::pool
