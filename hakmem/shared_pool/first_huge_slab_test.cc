// From what size on a process has huge pages. A test of its own: the pool remembers which heaps have made superslabs.

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/shared_pool/pool_test.h"

namespace hakmem::pool {
namespace {

const unsigned kClass = ClassOfSize(512);

class FirstHugeSlabTest : public PoolTest {
 protected:
  // Whether the next slab that will be full gets a huge page where `who` has so many others.
  bool IsHugeBeside(unsigned slabs, const Claimant& who) {
    g_options.huge_pages = 1;
    Cache sparse;
    Cache dense;
    dense.dense = true;
    std::vector<Slab*> taken;
    while (taken.size() < slabs) taken.push_back(&Take(sparse, kClass, who));
    Slab& full = Take(dense, kClass, who);
    const bool huge = full.superslab().huge.load();
    Give(dense, full, who);
    for (Slab* slab : taken) Give(sparse, *slab, who);
    GiveBackIdle(SIZE_MAX);
    return huge;
  }
};

TEST_F(FirstHugeSlabTest, SeveralHeapsHaveToFillWhatOneHasToBegin) {
  const Claimant only = {1, 0, 0};
  EXPECT_FALSE(IsHugeBeside(kSlabsPerSuperslab - 1, only));
  EXPECT_TRUE(IsHugeBeside(kSlabsPerSuperslab + 1, only));
  const Claimant second = {2, 0, 0};
  EXPECT_FALSE(IsHugeBeside(kSlabsPerSuperslab + 1, second));
  EXPECT_FALSE(IsHugeBeside(4 * kSlabsPerSuperslab - 1, second));
  EXPECT_TRUE(IsHugeBeside(4 * kSlabsPerSuperslab, second));
  EXPECT_FALSE(IsHugeBeside(kSlabsPerSuperslab + 1, only)) << "the other one may be there still";
}

}  // namespace
}  // namespace hakmem::pool
