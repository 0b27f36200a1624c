// Spans of several slots: next to each other, apart from all others, and found from every address in them.

#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/shared_pool/pool_test.h"

namespace hakmem::pool {
namespace {

class SpansTest : public PoolTest {
 protected:
  void Enter(Slab& slab) {
    for (size_t i = 0; i < slab.span(); ++i) {
      char* const piece = slab.base() + i * kSlabSize;
      ASSERT_TRUE(pieces_.insert(piece).second) << "in two slabs";
      ASSERT_EQ(address_map::SlabOf(piece), &slab);
      ASSERT_EQ(address_map::SlabOf(piece + kSlabSize - 1), &slab);
    }
    ASSERT_LE(slab.index() + slab.span(), kSlabsPerSuperslab);
  }
  void Leave(const Slab& slab) {
    for (size_t i = 0; i < slab.span(); ++i) pieces_.erase(slab.base() + i * kSlabSize);
  }
  std::set<char*> pieces_;
};

TEST_F(SpansTest, NoTwoOverlapWhateverComesAndGoes) {
  Cache caches[2];
  std::vector<Slab*> held;
  uint32_t random = 1;
  const auto next = [&random] { return (random = random * 1664525 + 1013904223) >> 8; };
  for (int round = 0; round < 4000; ++round) {
    Cache& cache = caches[next() % 2];
    if (held.size() < 60 && next() % 5 < 3) {
      Slab& slab = Take(cache, ClassOfList(1 + next() % (kClasses - 1)));
      ASSERT_NO_FATAL_FAILURE(Enter(slab));
      held.push_back(&slab);
    } else if (!held.empty()) {
      const size_t i = next() % held.size();
      Leave(*held[i]);
      ASSERT_NO_FATAL_FAILURE(Give(cache, *held[i]));
      held[i] = held.back();
      held.pop_back();
    }
    if (round % 100 == 0) EXPECT_EQ(GetStatistics().active_slots, pieces_.size());
  }
  for (Slab* slab : held) Give(caches[0], *slab);
}

TEST_F(SpansTest, AHoleThatIsTooSmallIsNotTaken) {
  Cache cache;
  const unsigned one = ClassOfSize(512);
  std::vector<Slab*> slabs;
  for (unsigned i = 0; i < kSlabsPerSuperslab; ++i) slabs.push_back(&Take(cache, one));
  // Holes of three, between others.
  for (const size_t i : {4, 5, 6, 10, 11, 12}) Give(cache, *slabs[i]);
  constexpr unsigned kFour = ClassOfSize(256 << 10);
  constexpr unsigned kThree = ClassOfSize(192 << 10);
  static_assert(kSizeClasses[kFour].span == 4 && kSizeClasses[kThree].span == 3);
  Slab& four = Take(cache, kFour);
  EXPECT_NE(&four.superslab(), &slabs[0]->superslab());
  Slab* const three[2] = {&Take(cache, kThree), &Take(cache, kThree)};
  cache.hot = &slabs[0]->superslab();
  Slab& third = Take(cache, kThree);
  EXPECT_EQ(&third, slabs[4]);
  for (const size_t i : {4, 5, 6, 10, 11, 12}) slabs[i] = nullptr;
  for (Slab* slab : slabs) {
    if (slab != nullptr) Give(cache, *slab);
  }
  for (Slab* slab : {&four, three[0], three[1], &third}) Give(cache, *slab);
}

}  // namespace
}  // namespace hakmem::pool
