// Slabs of heaps that have ended: who gets them, with adoption and without.

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

const unsigned kClass = ClassOfSize(4096);

using AdoptionTest = HeapTest;

TEST_F(AdoptionTest, SlabsOfAnEndedHeapBelongToNobody) {
  FullSlab full;
  Block* mine;
  {
    TestHeap ended;
    full = MakeFull(ended, kClass);
    mine = ended.Allocate(kClass);
  }
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  EXPECT_EQ(full.slab->place, Slab::Place::kNowhere);
  Slab* const other = address_map::SlabOf(mine);
  EXPECT_EQ(other->owner(), kNoHeap);

  // The one with blocks in it was named; refill finds it.
  TestHeap me;
  Block* const block = me.Refill(kClass);
  EXPECT_EQ(address_map::SlabOf(block), other);

  // The first free into the other one claims it; the last one ends it.
  Block* const first = full.TakeOut();
  me.Free(first);
  EXPECT_EQ(full.slab->owner(), me->who.id);
  EXPECT_EQ(me->rest->full, full.slab);
  EXPECT_EQ(me->free(kClass).head, first) << "as good as its own";
  EXPECT_EQ(me->rest->outbox_used, 0u);
  EXPECT_EQ(me->counters.remote_frees.value(), 0u);
  me.Free(full.out);
  GiveBackLists(*me);
  EXPECT_EQ(full.slab->owner(), kRetired);

  EXPECT_EQ(me->counters.adopted.value(), 2u);
  me.Free({mine, block});
}

TEST_F(AdoptionTest, WithoutAdoptionTheNextDriverInheritsThem) {
  g_options.tiny_ss_adopt = 0;
  TestHeap ended;
  FullSlab full = MakeFull(ended, kClass);
  const HeapId id = ended->who.id;
  ended.End();
  EXPECT_EQ(full.slab->owner(), id);

  {
    // A push by a stranger stands in the ended heap's inbox, which is then read for it.
    TestHeap same;
    ASSERT_EQ(same->who.id, id) << "put back last, taken first";
    TestHeap stranger;
    ASSERT_NE(stranger->who.id, id);
    same.End();
    stranger.Free(full.TakeOut());
    FlushOutbox(*stranger);
    EXPECT_EQ(full.slab->owner(), id);
    EXPECT_FALSE(full.slab->PeekRemote().notified);
    EXPECT_EQ(full.slab->PeekRemote().count, 0u);
    EXPECT_EQ(full.slab->place, Slab::Place::kBench);
    stranger.Free(full.out);
    FlushOutbox(*stranger);
    EXPECT_EQ(full.slab->owner(), kRetired);
    EXPECT_EQ(stranger->counters.adopted.value(), 0u);
  }
}

TEST_F(AdoptionTest, ANotifiedSlabIsGivenUpOnceTheInboxIsRead) {
  TestHeap me;
  TestHeap other;
  FullSlab full = MakeFull(me, kClass);
  other.Free(full.TakeOut());
  FlushOutbox(*other);
  ASSERT_TRUE(full.slab->PeekRemote().notified);
  ReleaseOrPlace(*me, me.Own(*full.slab));
  EXPECT_EQ(full.slab->owner(), me->who.id) << "refused while a notification is on its way";
  EXPECT_EQ(full.slab->place, Slab::Place::kBench);
  me.End();
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  other.Free(full.out);
}

TEST_F(AdoptionTest, EveryPlaceIsReleasedAtTheEnd) {
  FullSlab slabs[4];
  Slab* uncarved;
  std::vector<Block*> out;
  {
    TestHeap ended;
    for (FullSlab& full : slabs) full = MakeFull(ended, kClass);
    Bind(*ended, ended.Own(*slabs[0].slab));
    PutHome(ended, slabs[0]);
    PutHome(ended, slabs[1]);
    Place(*ended, ended.Own(*slabs[1].slab));
    std::optional<OwnedSlab> fresh = pool::Acquire(ended->pool_cache, ended->who, ClassOfSize(5000));
    bool clean;
    out.push_back(fresh->Carve(1, &clean).first);
    uncarved = &fresh->slab();
    Place(*ended, *fresh);
    EXPECT_EQ(uncarved->place, Slab::Place::kUncarved);
  }
  EXPECT_EQ(uncarved->owner(), kNoHeap);
  TestHeap me;
  for (FullSlab& full : slabs) {
    EXPECT_EQ(full.slab->owner(), kNoHeap);
    me.Free(full.out);
  }
  me.Free(out);
}

}  // namespace
}  // namespace hakmem::tiny
