// What tests of the shared pool have in common.
#ifndef HAKMEM_SHARED_POOL_POOL_TEST_H_
#define HAKMEM_SHARED_POOL_POOL_TEST_H_

#include <new>
#include <optional>
#include <utility>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::pool {

// The stages, as Statistics::acquired counts them.
enum StageOf { kLastReleased, kHotEmpty, kEmptyList, kUnused, kFromLru, kMapped };

class PoolTest : public testing::Test {
 protected:
  static constexpr Claimant kWho = {1, 0, 0};

  static void SetUpTestSuite() {
    if (!HasWindow()) gate::OpenWindow(true);
  }
  // Each test begins without superslabs, and nothing goes back by itself.
  void SetUp() override {
    options_ = g_options;
    g_options.purge_delay_ms = 3600000;
    g_options.idle_keep = INT64_MAX;
    GiveBackIdle(SIZE_MAX);
    ASSERT_EQ(GetStatistics().superslabs, 0u);
    ASSERT_EQ(g_idle.idle(), 0u);
    new (&g_idle) IdleBudget;  // without the debt of the test before
  }
  void TearDown() override {
    EXPECT_EQ(GetStatistics().active_slots, 0u);
    g_options = options_;
  }

  static Slab& Take(Cache& cache, unsigned size_class, const Claimant& who = kWho) {
    std::optional<OwnedSlab> owned = Acquire(cache, who, size_class);
    EXPECT_TRUE(owned.has_value());
    return owned->slab();
  }
  static void Give(Cache& cache, Slab& slab, const Claimant& who = kWho) {
    std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, who);
    ASSERT_TRUE(owned.has_value());
    ASSERT_TRUE(owned->Retire());
    Release(cache, slab);
  }
  static bool IsClean(Slab& slab) {
    bool clean;
    OwnedSlab owned = *OwnedSlab::Claim(slab, kWho);
    const Chain chain = owned.Carve(1, &clean);
    owned.Push({chain.first, chain.first, 1});
    return clean;
  }
  static uint64_t Acquired(StageOf stage) { return GetStatistics().acquired[stage]; }

 private:
  Options options_;
};

}  // namespace hakmem::pool

#endif  // HAKMEM_SHARED_POOL_POOL_TEST_H_
