// Where a slab comes from: the stages, one after the other.

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/shared_pool/pool_test.h"

namespace hakmem::pool {
namespace {

const unsigned kClass = ClassOfSize(512);
const unsigned kOtherClass = ClassOfSize(1024);
static_assert(kSizeClasses[ClassOfSize(512)].span == 1 && kSizeClasses[ClassOfSize(1024)].span == 1);

using StagesTest = PoolTest;

TEST_F(StagesTest, EachInItsTurn) {
  Cache cache;
  Slab& anchor = Take(cache, kClass);
  EXPECT_EQ(GetStatistics().superslabs, 1u);
  EXPECT_EQ(cache.hot, &anchor.superslab());
  const uint64_t mapped = Acquired(kMapped);

  const uint64_t unused = Acquired(kUnused);
  Slab& a = Take(cache, kClass);
  Slab& b = Take(cache, kClass);
  EXPECT_EQ(Acquired(kUnused), unused + 2);
  EXPECT_EQ(&a.superslab(), &anchor.superslab());
  EXPECT_EQ(GetStatistics().active_slots, 3u);

  // 0: what this cache gave back last.
  Give(cache, a);
  Give(cache, b);
  EXPECT_EQ(b.slot().Peek().state, SlotState::kEmpty);
  const uint64_t last_released = Acquired(kLastReleased);
  EXPECT_EQ(&Take(cache, kOtherClass), &b) << "though it is of another class: the span is what counts";
  EXPECT_EQ(Acquired(kLastReleased), last_released + 1);

  // 0.5: an EMPTY one of the superslab used last.
  const uint64_t hot_empty = Acquired(kHotEmpty);
  EXPECT_EQ(&Take(cache, kClass), &a);
  EXPECT_EQ(Acquired(kHotEmpty), hot_empty + 1);

  // 1: the list of the class, for who has no superslab.
  Cache stranger;
  Give(cache, a);
  const uint64_t empty_list = Acquired(kEmptyList);
  EXPECT_EQ(&Take(stranger, kClass), &a) << "behind the other one's entry, which is out of date";
  EXPECT_EQ(Acquired(kEmptyList), empty_list + 1);

  // 2: an UNUSED slot before an EMPTY one of another class.
  Cache second_stranger;
  Give(cache, b);
  Slab& c = Take(second_stranger, kClass);
  EXPECT_EQ(Acquired(kUnused), unused + 3);
  EXPECT_EQ(b.slot().Peek().state, SlotState::kEmpty);
  EXPECT_EQ(&c.superslab(), &anchor.superslab());

  // 3: the superslab that became idle, before a new one.
  const uint64_t from_lru = Acquired(kFromLru);
  for (Slab* slab : {&a, &c, &anchor}) Give(cache, *slab);
  EXPECT_TRUE(anchor.superslab().in_lru);
  EXPECT_EQ(anchor.slot().Peek().state, SlotState::kUnused) << "slots of idle superslabs are UNUSED";
  Cache third_stranger;
  Slab& again = Take(third_stranger, kClass);
  EXPECT_EQ(Acquired(kFromLru), from_lru + 1);
  EXPECT_EQ(&again.superslab(), &anchor.superslab());
  EXPECT_EQ(Acquired(kMapped), mapped);
  Give(cache, again);
}

TEST_F(StagesTest, EmptySlotsOfOtherClassesAreCutUpBeforeASuperslabIsMapped) {
  Cache cache;
  std::vector<Slab*> slabs;
  for (unsigned i = 0; i < kSlabsPerSuperslab; ++i) slabs.push_back(&Take(cache, kClass));
  ASSERT_EQ(GetStatistics().superslabs, 1u);
  for (int i = 4; i < 8; ++i) {
    Give(cache, *slabs[static_cast<size_t>(i)]);
    EXPECT_EQ(slabs[static_cast<size_t>(i)]->slot().Peek().state, SlotState::kEmpty);
  }
  // Four slots in a row, as one span.
  constexpr unsigned kSpanOfFour = ClassOfSize(256 << 10);
  static_assert(kSizeClasses[kSpanOfFour].span == 4);
  Cache stranger;
  Slab& wide = Take(stranger, kSpanOfFour);
  EXPECT_EQ(&wide, slabs[4]);
  EXPECT_EQ(GetStatistics().superslabs, 1u);
  // Out-of-date entries of the list of their class are refused.
  const uint64_t empty_list = Acquired(kEmptyList);
  Slab& fresh = Take(stranger, kClass);
  EXPECT_EQ(Acquired(kEmptyList), empty_list);
  EXPECT_EQ(GetStatistics().superslabs, 2u);
  Give(cache, wide);
  Give(cache, fresh);
  for (int i : {4, 5, 6, 7}) slabs[static_cast<size_t>(i)] = nullptr;
  for (Slab* slab : slabs) {
    if (slab != nullptr) Give(cache, *slab);
  }
}

}  // namespace
}  // namespace hakmem::pool
