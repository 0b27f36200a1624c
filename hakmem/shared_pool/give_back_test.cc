// Idle memory goes back to the system: of whole superslabs, and of slots between others that are in use.

#include <errno.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/shared_pool/pool_test.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::pool {
namespace {

const unsigned kClass = ClassOfSize(512);
constexpr unsigned kHalf = ClassOfSize(1 << 20);

class GiveBackTest : public PoolTest {
 protected:
  // The memory of slabs is poisoned for the address sanitizer until a block of it is with the program.
  HAK_NO_ASAN static void Fill(Slab& slab) {
    volatile char* const bytes = slab.base();
    for (size_t i = 0; i < slab.span() * kSlabSize; ++i) bytes[i] = 7;
  }
  HAK_NO_ASAN static bool IsFilled(const Slab& slab) {
    const volatile char* const bytes = slab.base();
    for (size_t i = 0; i < slab.span() * kSlabSize; ++i) {
      if (bytes[i] != 7) return false;
    }
    return true;
  }
};

TEST_F(GiveBackTest, SlotsBetweenOthersThatAreInUse) {
  Cache cache;
  std::vector<Slab*> slabs;
  for (int i = 0; i < 24; ++i) {
    slabs.push_back(&Take(cache, kClass));
    Fill(*slabs.back());
  }
  ASSERT_EQ(GetStatistics().superslabs, 1u);
  for (size_t i = 0; i < slabs.size(); i += 2) Give(cache, *slabs[i]);
  EXPECT_EQ(g_idle.idle(), 12 * kSlabSize);
  EXPECT_EQ(GiveBackIdle(SIZE_MAX), 12 * kSlabSize);
  EXPECT_EQ(g_idle.idle(), 0u);
  for (size_t i = 0; i < slabs.size(); ++i) {
    EXPECT_EQ(test::ResidentBytes(slabs[i]->base(), kSlabSize), i % 2 == 0 ? 0 : static_cast<long>(kSlabSize)) << i;
    if (i % 2 != 0) EXPECT_TRUE(IsFilled(*slabs[i])) << i;
  }
  EXPECT_EQ(GiveBackIdle(SIZE_MAX), 0u);
  // Given back, they read as zero, and are known to.
  Slab& again = Take(cache, kClass);
  EXPECT_TRUE(IsClean(again));
  Give(cache, again);
  for (size_t i = 1; i < slabs.size(); i += 2) Give(cache, *slabs[i]);
}

TEST_F(GiveBackTest, AboutAsMuchAsWasAskedFor) {
  Cache cache;
  std::vector<Slab*> slabs;
  for (int i = 0; i < 6; ++i) slabs.push_back(&Take(cache, kHalf));
  for (Slab* slab : slabs) Give(cache, *slab);
  ASSERT_EQ(g_idle.idle(), 3 * kSuperslabSize);
  EXPECT_EQ(GiveBackIdle(1), kSuperslabSize);
  EXPECT_EQ(g_idle.idle(), 2 * kSuperslabSize);
  EXPECT_EQ(GetStatistics().superslabs, 2u);
  EXPECT_EQ(GiveBackIdle(0), 0u);
  EXPECT_EQ(GiveBackIdle(SIZE_MAX), 2 * kSuperslabSize);
  EXPECT_EQ(GetStatistics().superslabs, 0u);
  EXPECT_EQ(arena::GetUsage().taken, 0u);
}

// Beside what is in use, which slots that were given back are not.
TEST_F(GiveBackTest, AQuarterOfWhatIsInUseMayLieIdle) {
  constexpr size_t kSlabs = 20 * kSlabsPerSuperslab;
  Cache cache;
  std::vector<Slab*> slabs;
  while (slabs.size() < kSlabs) slabs.push_back(&Take(cache, kClass));
  g_options.idle_keep = 0;
  const auto give = [&](size_t to) {  // from the end, superslab by superslab
    while (slabs.size() > to) {
      Give(cache, *slabs.back());
      slabs.pop_back();
    }
  };
  give(kSlabs * 4 / 5 + 1);
  EXPECT_EQ(g_idle.idle(), (kSlabs / 5 - 1) * kSlabSize);
  give(kSlabs * 4 / 5 - 1);
  EXPECT_LE(g_idle.idle(), kSlabs / 5 * kSlabSize / 2);
  // Most of each superslab that is left, a slot of it after a slot of the next.
  for (size_t slot = 0; slot < kSlabsPerSuperslab - 2; ++slot) {
    for (size_t i = slot; i < kSlabs / 2; i += kSlabsPerSuperslab) Give(cache, *slabs[i]);
  }
  std::erase_if(slabs, [&](Slab* slab) { return slab->slot().Peek().state != SlotState::kActive; });
  give(kSlabs / 40);
  EXPECT_LE(g_idle.idle(), kSlabs / 20 * kSlabSize) << "not a quarter of what half given back superslabs span";
  give(0);
}

TEST_F(GiveBackTest, BalanceGivesBackWhatIsTooMuchAndWhatIsOld) {
  Cache cache;
  std::vector<Slab*> slabs;
  for (int i = 0; i < 40; ++i) slabs.push_back(&Take(cache, kHalf));
  g_options.idle_keep = 8 << 20;
  for (Slab* slab : slabs) Give(cache, *slab);
  EXPECT_LE(g_idle.idle(), size_t{8} << 20);
  EXPECT_GT(g_idle.idle(), 0u);
  g_options.purge_delay_ms = 0;
  Balance();
  EXPECT_EQ(g_idle.idle(), 0u);
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST_F(GiveBackTest, WhatTheSystemDoesNotTakeStaysIdle) {
  Cache cache;
  Slab& anchor = Take(cache, kClass);
  Slab& slab = Take(cache, kClass);
  Fill(slab);
  Give(cache, slab);
  ASSERT_EQ(g_idle.idle(), kSlabSize);
  {
    test::FailingCalls failing(os::Call::kPurge, ENOMEM);
    EXPECT_EQ(GiveBackIdle(SIZE_MAX), 0u);
    EXPECT_GE(failing.seen(), 1u);
    EXPECT_EQ(g_idle.idle(), kSlabSize);
  }
  Slab& again = Take(cache, kClass);
  EXPECT_EQ(&again, &slab);
  EXPECT_FALSE(IsClean(again)) << "its bytes are still there";
  EXPECT_EQ(g_idle.idle(), 0u);
  Give(cache, again);
  EXPECT_EQ(GiveBackIdle(SIZE_MAX), kSlabSize);
  Give(cache, anchor);
}

TEST_F(GiveBackTest, WhatTheSystemDoesNotTakeIsNotOfferedAgainAndAgain) {
  Cache cache;
  Slab& anchor = Take(cache, kClass);
  Slab& slab = Take(cache, kClass);
  Slab& other = Take(cache, kClass);
  Give(cache, slab);
  g_options.purge_delay_ms = 0;
  {
    test::FailingCalls failing(os::Call::kPurge, ENOMEM);
    Balance();
    const uint64_t seen = failing.seen();
    EXPECT_GE(seen, 1u);
    for (int i = 0; i < 10; ++i) Balance();
    EXPECT_EQ(failing.seen(), seen);
    EXPECT_EQ(g_idle.idle(), kSlabSize);
  }
  Give(cache, other);
  EXPECT_EQ(g_idle.idle(), 0u) << "tried again when more has come";
  Give(cache, Take(cache, kClass));
  {
    test::FailingCalls failing(os::Call::kPurge, ENOMEM);
    Give(cache, Take(cache, kClass));
    EXPECT_EQ(g_idle.idle(), kSlabSize);
  }
  usleep(1'100'000);
  Balance();
  EXPECT_EQ(g_idle.idle(), 0u) << "or after a second";
  Give(cache, anchor);
}

// Another thread frees a burst while one purges: the one sees to it that this memory goes, too.
TEST_F(GiveBackTest, WhatComesDuringAPurgeIsNotForgotten) {
  static Cache cache;
  static std::vector<Slab*> late;
  Slab& anchor = Take(cache, kHalf);
  std::vector<Slab*> slabs;
  for (int i = 0; i < 40; ++i) slabs.push_back(&Take(cache, kHalf));
  for (int i = 0; i < 80; ++i) late.push_back(&Take(cache, kHalf));
  g_options.idle_keep = 8 << 20;
  os::SetFaultHook([](os::Call call) {
    while (call == os::Call::kPurge && !late.empty()) {
      Slab* const slab = late.back();
      late.pop_back();
      Give(cache, *slab);
    }
    return 0;
  });
  while (!late.empty() && !slabs.empty()) {
    Give(cache, *slabs.back());
    slabs.pop_back();
  }
  os::SetFaultHook(nullptr);
  ASSERT_TRUE(late.empty());
  EXPECT_LE(g_idle.idle(), (slabs.size() + 1) * (size_t{1} << 20) / 4 + (size_t{8} << 20));
  for (Slab* slab : slabs) Give(cache, *slab);
  Give(cache, anchor);
}
#endif

}  // namespace
}  // namespace hakmem::pool
