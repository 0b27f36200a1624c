// Superslabs that are idle: a few wait, the one used last first; the others go to the page arena.

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/shared_pool/pool_test.h"

namespace hakmem::pool {
namespace {

constexpr unsigned kHalf = ClassOfSize(1 << 20);
static_assert(kSizeClasses[kHalf].span == kSlabsPerSuperslab / 2);
constexpr size_t kLruSuperslabs = (8 << 20) / kSuperslabSize;

using LruTest = PoolTest;

TEST_F(LruTest, IsBoundedAndKeepsTheMostRecent) {
  Cache cache;
  constexpr size_t kCount = kLruSuperslabs + 3;
  std::vector<Slab*> slabs;
  for (size_t i = 0; i < 2 * kCount; ++i) slabs.push_back(&Take(cache, kHalf));
  ASSERT_EQ(GetStatistics().superslabs, kCount);
  const uint64_t taken = arena::GetUsage().taken;
  std::vector<char*> bases;
  for (size_t i = 0; i < kCount; ++i) {
    bases.push_back(slabs[2 * i]->superslab().base());
    ASSERT_EQ(&slabs[2 * i]->superslab(), &slabs[2 * i + 1]->superslab());
    Give(cache, *slabs[2 * i]);
    EXPECT_FALSE(slabs[2 * i]->superslab().in_lru) << "one half is in use";
    Give(cache, *slabs[2 * i + 1]);
    EXPECT_EQ(GetStatistics().superslabs, kCount - (i < kLruSuperslabs ? 0 : i + 1 - kLruSuperslabs)) << i;
  }
  EXPECT_EQ(arena::GetUsage().taken, taken - 3 * kSuperslabSize);
  EXPECT_EQ(arena::GetUsage().idle, 3 * kSuperslabSize);
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(address_map::RegionOf(bases[i]) == nullptr, i < 3) << "the oldest went";
  }
  EXPECT_EQ(g_idle.idle(), kCount * kSuperslabSize) << "idle is idle, here or there";

  // The last one that became idle is the first to be used.
  for (size_t i = kCount; i-- > 3;) {
    Slab* const again[2] = {&Take(cache, kHalf), &Take(cache, kHalf)};
    EXPECT_EQ(again[0]->superslab().base(), bases[i]);
    EXPECT_EQ(again[1]->superslab().base(), bases[i]);
    EXPECT_FALSE(again[0]->superslab().in_lru);
    slabs[2 * i] = again[0];
    slabs[2 * i + 1] = again[1];
  }
  const uint64_t mapped = Acquired(kMapped);
  Slab& beyond = Take(cache, kHalf);
  EXPECT_EQ(Acquired(kMapped), mapped + 1);
  EXPECT_FALSE(IsClean(beyond)) << "the page arena gives what is resident first";
  Give(cache, beyond);
  for (size_t i = 3; i < kCount; ++i) {
    Give(cache, *slabs[2 * i]);
    Give(cache, *slabs[2 * i + 1]);
  }
}

TEST_F(LruTest, ASlotTakenKeepsItsSuperslabOut) {
  Cache cache;
  Slab& a = Take(cache, kHalf);
  Slab& b = Take(cache, kHalf);
  Superslab& superslab = a.superslab();
  Give(cache, a);
  Give(cache, b);
  ASSERT_TRUE(superslab.in_lru);
  EXPECT_EQ(superslab.unused.load(), 0u) << "nothing of it can be taken";
  EXPECT_EQ(superslab.active.load(), 0u);
  Slab& again = Take(cache, ClassOfSize(16));
  EXPECT_EQ(&again.superslab(), &superslab);
  EXPECT_FALSE(superslab.in_lru);
  EXPECT_EQ(superslab.unused.load(), ~(1u << again.index()));
  Give(cache, again);
}

}  // namespace
}  // namespace hakmem::pool
