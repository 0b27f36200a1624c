// A slab that its owner cannot give up yet stays as it was.

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/superslab/owned_slab.h"

namespace hakmem {
namespace {

constexpr Claimant kStranger = {kMaxHeapId, 0, 0};

TEST(Refused, NotifiedSlabKeepsItsOwnerAndTags) {
  void* const mine = hak_malloc(4000);
  void* const gone = hak_malloc(4000);
  Slab* const slab = address_map::SlabOf(mine);
  ASSERT_NE(slab, nullptr);
  ASSERT_EQ(slab, address_map::SlabOf(gone));
  const HeapId owner = slab->owner();
  const uint32_t tag = address_map::TagOfSlab(*slab);

  Chain chain;
  chain.PushFront(static_cast<Block*>(gone));
  HeapId notify = kNoHeap;
  EXPECT_FALSE(OwnedSlab::PushRemote(*slab, chain, kStranger, &notify).has_value());
  EXPECT_EQ(notify, owner);

  auto owned = OwnedSlab::Claim(*slab, {owner, 0, 0});
  ASSERT_TRUE(owned.has_value());
  const Slab::Place place = slab->place;
  slab->place = Slab::Place::kNowhere;
  EXPECT_FALSE(owned->Release());
  slab->place = place;
  EXPECT_EQ(slab->owner(), owner);
  EXPECT_EQ(address_map::TagOfSlab(*slab), tag);

  owned->Acknowledge();
  EXPECT_FALSE(slab->PeekRemote().notified);
  hak_free(mine);
}

}  // namespace
}  // namespace hakmem
