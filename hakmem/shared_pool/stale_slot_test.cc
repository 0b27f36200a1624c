// Who remembers a slot from an earlier life of it is refused.

#include "gtest/gtest.h"
#include "hakmem/shared_pool/pool_test.h"

namespace hakmem::pool {
namespace {

const unsigned kClass = ClassOfSize(512);

class StaleSlotTest : public PoolTest {
 protected:
  void SetUp() override {
    PoolTest::SetUp();
    anchor_ = &Take(cache_, kClass);
  }
  void TearDown() override {
    Give(cache_, *anchor_);
    PoolTest::TearDown();
  }
  Cache cache_;
  Slab* anchor_;
};

TEST_F(StaleSlotTest, TakenBySomebodyElse) {
  Cache mine;
  Slab& slab = Take(mine, kClass);
  Give(mine, slab);
  ASSERT_EQ(mine.last_released, &slab);
  EXPECT_EQ(mine.last_value.Pack(), slab.slot().Peek().Pack());
  Cache other;
  ASSERT_EQ(&Take(other, kClass), &slab);
  const uint64_t stage0 = Acquired(kLastReleased);
  Slab& next = Take(mine, kClass);
  EXPECT_NE(&next, &slab);
  EXPECT_EQ(Acquired(kLastReleased), stage0);
  Give(mine, next);
  Give(other, slab);
}

TEST_F(StaleSlotTest, EmptyAgainAfterAnotherLife) {
  Cache mine;
  Slab& slab = Take(mine, kClass);
  Give(mine, slab);
  Cache other;
  ASSERT_EQ(&Take(other, kClass), &slab);
  Give(other, slab);
  EXPECT_EQ(slab.slot().Peek().state, SlotState::kEmpty);
  const uint64_t stage0 = Acquired(kLastReleased);
  Slab& next = Take(mine, kClass);
  EXPECT_EQ(Acquired(kLastReleased), stage0) << "the generation tells";
  Give(mine, next);
}

TEST_F(StaleSlotTest, OfAnotherSpanNow) {
  Cache mine;
  Slab& slab = Take(mine, kClass);
  Give(mine, slab);
  constexpr unsigned kWide = ClassOfSize(256 << 10);
  const uint64_t stage0 = Acquired(kLastReleased);
  Slab& wide = Take(mine, kWide);
  EXPECT_NE(&wide, &slab);
  EXPECT_EQ(Acquired(kLastReleased), stage0);
  EXPECT_EQ(slab.slot().Peek().state, SlotState::kEmpty) << "left as it was";
  Give(mine, wide);
}

TEST_F(StaleSlotTest, OfASuperslabThatIsGone) {
  Cache mine;
  constexpr unsigned kHalf = ClassOfSize(1 << 20);
  Slab& a = Take(mine, kHalf);
  Slab& b = Take(mine, kHalf);
  Slab& c = Take(mine, kHalf);
  Superslab& gone = b.superslab();
  ASSERT_EQ(&gone, &c.superslab());
  char* const base = gone.base();
  Give(mine, b);
  Give(mine, c);
  ASSERT_TRUE(gone.in_lru);
  GiveBackIdle(SIZE_MAX);
  EXPECT_EQ(address_map::RegionOf(base), nullptr);
  EXPECT_EQ(GetStatistics().superslabs, 1u);
  ASSERT_EQ(mine.hot, &gone);
  ASSERT_EQ(mine.last_released, &c);
  // Neither the remembered slot nor the remembered superslab gives anything.
  Slab& next = Take(mine, kHalf);
  EXPECT_EQ(&next.superslab().slabs[next.index()], &next);
  EXPECT_EQ(address_map::SlabOf(next.base()), &next);
  Give(mine, a);
  Give(mine, next);
}

}  // namespace
}  // namespace hakmem::pool
