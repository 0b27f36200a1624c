// No more than a few slots of a class stay EMPTY. A test by itself: entries that others leave in the list would count.

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/shared_pool/empty_list.h"
#include "hakmem/shared_pool/pool_test.h"

namespace hakmem::pool {
namespace {

const unsigned kClass = ClassOfSize(512);
const unsigned kOtherClass = ClassOfSize(1024);

using EmptyBoundTest = PoolTest;

TEST_F(EmptyBoundTest, NoMoreThanAFewSlotsOfAClassStayEmpty) {
  Cache cache;
  Slab& anchor = Take(cache, kOtherClass);
  std::vector<Slab*> slabs;
  for (uint32_t i = 0; i < EmptyList::kMost + 3; ++i) slabs.push_back(&Take(cache, kClass));
  for (Slab* slab : slabs) Give(cache, *slab);
  for (uint32_t i = 0; i < slabs.size(); ++i) {
    EXPECT_EQ(slabs[i]->slot().Peek().state, i < EmptyList::kMost ? SlotState::kEmpty : SlotState::kUnused) << i;
    const uint32_t bit = 1u << slabs[i]->index();
    EXPECT_EQ((anchor.superslab().unused.load() & bit) != 0, i >= EmptyList::kMost) << i;
  }
  Give(cache, anchor);
  for (Slab* slab : slabs) EXPECT_EQ(slab->slot().Peek().state, SlotState::kUnused);
}

}  // namespace
}  // namespace hakmem::pool
