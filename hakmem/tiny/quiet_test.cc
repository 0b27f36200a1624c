// Slabs that are left alone give back their free pages, a few at a time.
#include "hakmem/tiny/quiet.h"

#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/poison.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

const unsigned kClass = ClassOfSize(512);
constexpr size_t kSize = 512;
// More than sixteen superslabs.
constexpr size_t kSlabs = 17 * kSlabsPerSuperslab;

class QuietTest : public HeapTest {
 protected:
  void SetUp() override {
    HeapTest::SetUp();
    g_options.purge_delay_ms = 10'000;
    Wait();
  }
  void TearDown() override {
    for (FullSlab& full : slabs_) me_.Free(full.out);
    me_.End();
    HeapTest::TearDown();
  }

  // Slabs of which `left` blocks stay out.
  void Fill(size_t slabs, size_t left) {
    for (size_t i = 0; i < slabs; ++i) {
      slabs_.push_back(MakeFull(me_, kClass));
      FullSlab& full = slabs_.back();
      Chain home;
      while (full.out.size() > left) home.PushFront(full.TakeOut());
      OwnedSlab owned = me_.Own(*full.slab);
      owned.Push(home);
      Place(*me_, owned);
      for (Block* block : full.out) {
        Unpoison(block, kSize);  // the interface would
        memset(static_cast<void*>(block), 0x55, kSize);
      }
    }
    // The slabs may be such as went back after the test before.
    PayDebt();
  }
  static void PayDebt() {
    while (g_idle.IsInDebt(os::NowMs())) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  // As if it were time for the next look.
  void Wait() { me_->rest->quiet_looked_ms = 0; }
  size_t Purged() const {
    size_t n = 0;
    for (const FullSlab& full : slabs_) n += full.slab->LookFromOutside().purged != 0 ? 1 : 0;
    return n;
  }

  TestHeap me_;
  std::vector<FullSlab> slabs_;
};

TEST_F(QuietTest, WhatWasLeftAloneGoesBackAFewSlabsAtATime) {
  Fill(kSlabs, 1);
  GiveBackQuiet(*me_);
  EXPECT_EQ(Purged(), 0u) << "they may be in use still";
  GiveBackQuiet(*me_);
  EXPECT_EQ(Purged(), 0u);
  Wait();
  GiveBackQuiet(*me_);
  EXPECT_EQ(Purged(), 32u);
  GiveBackQuiet(*me_);
  EXPECT_EQ(Purged(), 64u) << "without waiting";
  for (size_t i = 0; i < kSlabs / 32; ++i) GiveBackQuiet(*me_);
  EXPECT_EQ(Purged(), kSlabs);
  for (const FullSlab& full : slabs_) {
    const auto* bytes = reinterpret_cast<const char*>(full.out[0]);
    for (size_t i = 0; i < kSize; ++i) ASSERT_EQ(bytes[i], 0x55);
  }
}

TEST_F(QuietTest, RefillsLookForIt) {
  Fill(kSlabs, 1);
  const unsigned other = ClassOfSize(40'000);  // has no lists, so that each block is a refill
  std::vector<Block*> taken;
  for (int look = 0; look < 2; ++look) {
    EXPECT_EQ(Purged(), 0u);
    Wait();
    for (int i = 0; i < 64; ++i) taken.push_back(me_.Allocate(other));
  }
  EXPECT_EQ(Purged(), 32u);
  me_.Free(taken);
}

TEST_F(QuietTest, WhatIsFreedIntoStays) {
  Fill(kSlabs, 2);
  GiveBackQuiet(*me_);
  Slab& slab = *slabs_[0].slab;
  PutHome(me_, slabs_[0]);
  Wait();
  for (size_t i = 0; i <= kSlabs / 32; ++i) GiveBackQuiet(*me_);
  EXPECT_EQ(Purged(), kSlabs - 1);
  for (int look = 0; look < 2; ++look) {
    EXPECT_EQ(slab.LookFromOutside().purged, 0u);
    Wait();
    GiveBackQuiet(*me_);
  }
  EXPECT_NE(slab.LookFromOutside().purged, 0u) << "it was left alone since";
}

TEST_F(QuietTest, WhatIsMostlyInUseStays) {
  Fill(kSlabs, kSlabSize / kSize * 3 / 4);
  for (int round = 0; round < 3; ++round) {
    GiveBackQuiet(*me_);
    Wait();
  }
  EXPECT_EQ(Purged(), 0u);
}

TEST_F(QuietTest, NothingGoesInASmallProcess) {
  Fill(kSlabsPerSuperslab, 1);
  for (int round = 0; round < 3; ++round) {
    GiveBackQuiet(*me_);
    Wait();
  }
  EXPECT_EQ(Purged(), 0u);
}

// What was given back and is used again counts as refaulted; while much was, nothing more goes.
TEST_F(QuietTest, NothingGoesThatWouldBeWantedAgain) {
  Fill(kSlabs, 1);
  GiveBackQuiet(*me_);
  g_idle.AddRefault(2 * IdleBudget::kDebtLimit);
  EXPECT_TRUE(g_idle.IsInDebt(os::NowMs()));
  Wait();
  GiveBackQuiet(*me_);
  EXPECT_EQ(Purged(), 0u);
  PayDebt();
  Wait();
  GiveBackQuiet(*me_);
  ASSERT_NE(Purged(), 0u);
  // Until blocks come out of pages that were given back.
  const auto pages = [this] {
    size_t blocks = 0;
    for (const FullSlab& full : slabs_) blocks += full.slab->LookFromOutside().purged;
    return blocks * kSize / 4096;
  };
  const size_t before = pages();
  std::vector<Block*> taken;
  while (pages() > before / 2) taken.push_back(me_.Allocate(kClass));
  EXPECT_GT(g_idle.debt(), 0u);
  for (Block* block : taken) me_.Free(block);
}

}  // namespace
}  // namespace hakmem::tiny
