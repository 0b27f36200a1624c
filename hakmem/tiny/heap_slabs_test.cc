// Where a heap keeps its slabs: each in the one place that fits what it has.

#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/give_back.h"

#include <memory>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

using SlabPlace = Slab::Place;
const unsigned kClass = ClassOfSize(8192);

using HeapSlabsTest = HeapTest;

TEST_F(HeapSlabsTest, ThePlaceFollowsWhatTheSlabHas) {
  TestHeap me;
  std::optional<OwnedSlab> fresh = pool::Acquire(me->pool_cache, me->who, kClass);
  Slab& slab = fresh->slab();
  EXPECT_EQ(slab.place, SlabPlace::kNowhere);
  Place(*me, *fresh);
  EXPECT_EQ(slab.place, SlabPlace::kUncarved);
  EXPECT_EQ(me->rest->uncarved[kClass], &slab);
  std::vector<Block*> out;
  bool clean;
  while (fresh->HasUncarved()) out.push_back(fresh->Carve(1, &clean).first);
  Place(*me, *fresh);
  EXPECT_EQ(slab.place, SlabPlace::kFull);
  EXPECT_EQ(me->rest->uncarved[kClass], nullptr);
  EXPECT_EQ(me->rest->full, &slab);
  Chain chain;
  chain.PushFront(out.back());
  out.pop_back();
  fresh->Push(chain);
  Place(*me, *fresh);
  EXPECT_EQ(slab.place, SlabPlace::kBench);
  EXPECT_EQ(me->bench(kClass), &slab);
  EXPECT_EQ(me->rest->full, nullptr);
  Bind(*me, *fresh);
  EXPECT_EQ(slab.place, SlabPlace::kBound);
  EXPECT_EQ(me->bound(kClass), &slab);
  EXPECT_EQ(me->bench(kClass), nullptr);
  Place(*me, *fresh);
  EXPECT_EQ(slab.place, SlabPlace::kBound) << "as long as it has anything";
  out.push_back(fresh->PopOne());
  Place(*me, *fresh);
  EXPECT_EQ(slab.place, SlabPlace::kFull);
  EXPECT_EQ(me->bound(kClass), nullptr);
  me.Free(out);
}

TEST_F(HeapSlabsTest, BindingPutsTheFormerOneWhereItBelongs) {
  TestHeap me;
  FullSlab a = MakeFull(me, kClass);
  FullSlab b = MakeFull(me, kClass);
  PutHome(me, a);
  Bind(*me, me.Own(*a.slab));
  Bind(*me, me.Own(*b.slab));
  EXPECT_EQ(me->bound(kClass), b.slab);
  EXPECT_EQ(a.slab->place, SlabPlace::kBench);
  me.Free(a.out);
  me.Free(b.out);
}

TEST_F(HeapSlabsTest, OutOfTheMiddleOfAList) {
  TestHeap me;
  FullSlab slabs[3] = {MakeFull(me, kClass), MakeFull(me, kClass), MakeFull(me, kClass)};
  Unplace(*me, me.Own(*slabs[1].slab));
  EXPECT_EQ(slabs[1].slab->place, SlabPlace::kNowhere);
  EXPECT_EQ(me->rest->full, slabs[2].slab);
  EXPECT_EQ(slabs[2].slab->next, slabs[0].slab);
  EXPECT_EQ(slabs[0].slab->prev, slabs[2].slab);
  Unplace(*me, me.Own(*slabs[1].slab));
  Place(*me, me.Own(*slabs[1].slab));
  for (FullSlab& full : slabs) me.Free(full.out);
}

TEST_F(HeapSlabsTest, TheHotSlotForgetsASlabThatGoes) {
  TestHeap me;
  FullSlab full = MakeFull(me, kClass);
  me->SetHot(kClass, full.slab);
  Unplace(*me, me.Own(*full.slab));
  EXPECT_EQ(me->hot(kClass), nullptr);
  Place(*me, me.Own(*full.slab));
  me.Free(full.out);
}

TEST_F(HeapSlabsTest, AnEmptySlabRetiresUnlessItIsTheOneBound) {
  TestHeap me;
  FullSlab a = MakeFull(me, kClass);
  FullSlab b = MakeFull(me, kClass);
  Bind(*me, me.Own(*a.slab));
  const auto come_home = [&](FullSlab& full) {
    OwnedSlab owned = me.Own(*full.slab);
    Chain chain;
    for (Block* block : full.out) chain.PushFront(block);
    owned.Push(chain);
    Settle(*me, std::move(owned));
  };
  come_home(a);
  EXPECT_EQ(a.slab->owner(), me->who.id) << "kept, so that it need not be set up again and again";
  EXPECT_EQ(a.slab->place, SlabPlace::kBound);
  come_home(b);
  EXPECT_EQ(b.slab->owner(), kRetired);
  // With another one on the bench the bound slab goes, too.
  FullSlab c = MakeFull(me, kClass);
  PutHome(me, c);
  Place(*me, me.Own(*c.slab));
  Settle(*me, me.Own(*a.slab));
  EXPECT_EQ(a.slab->owner(), kRetired);
  EXPECT_EQ(me->bound(kClass), nullptr);
  me.Free(c.out);
}

TEST_F(HeapSlabsTest, OfTheClassesWithoutListsOneSlabInAllIsKept) {
  TestHeap me;
  const auto make_bound = [&](size_t size) {
    FullSlab full = MakeFull(me, ClassOfSize(size));
    Bind(*me, me.Own(*full.slab));
    return full;
  };
  const auto come_home = [&](FullSlab& full) {
    for (Block* block : full.out) GiveBackTo(*me, *full.slab, block);
  };
  FullSlab first = make_bound(100000);
  FullSlab second = make_bound(300000);
  FullSlab third = make_bound(500000);
  come_home(first);
  EXPECT_EQ(me->rest->kept, first.slab);
  EXPECT_EQ(first.slab->owner(), me->who.id);
  come_home(second);
  EXPECT_EQ(me->rest->kept, second.slab);
  EXPECT_EQ(first.slab->owner(), kRetired) << "the last one stays";
  // In use again it needs no keeping, and makes room for another.
  Block* const block = TakeFromBound(*me, ClassOfSize(300000));
  EXPECT_EQ(address_map::SlabOf(block), second.slab);
  come_home(third);
  EXPECT_EQ(me->rest->kept, third.slab);
  EXPECT_EQ(second.slab->owner(), me->who.id);
  GiveBackTo(*me, *second.slab, block);
  EXPECT_EQ(me->rest->kept, second.slab);
  EXPECT_EQ(third.slab->owner(), kRetired);
  Unplace(*me, me.Own(*second.slab));
  EXPECT_EQ(me->rest->kept, nullptr) << "forgotten where the slab goes";
  Place(*me, me.Own(*second.slab));
}

TEST_F(HeapSlabsTest, AllHeapsTogetherKeepFourMebibytes) {
  const unsigned c = ClassOfSize(1000000);
  ASSERT_EQ(kSizeClasses[c].span, 16);
  std::vector<std::unique_ptr<TestHeap>> heaps;
  int kept = 0;
  for (int i = 0; i < 6; ++i) {
    heaps.push_back(std::make_unique<TestHeap>());
    TestHeap& me = *heaps.back();
    me.Free(me.Allocate(c));
    if (me->rest->kept != nullptr) ++kept;
  }
  EXPECT_EQ(kept, 4);
  // One that ends makes room for another.
  heaps.erase(heaps.begin());
  TestHeap& last = *heaps.back();
  last.Free(last.Allocate(c));
  EXPECT_NE(last->rest->kept, nullptr);
}

TEST_F(HeapSlabsTest, EveryOwnedSlabIsVisitedOnce) {
  TestHeap me;
  FullSlab slabs[5] = {MakeFull(me, kClass), MakeFull(me, kClass), MakeFull(me, 3), MakeFull(me, kClass),
                       MakeFull(me, ClassOfSize(200000))};
  Bind(*me, me.Own(*slabs[0].slab));
  PutHome(me, slabs[1]);
  Place(*me, me.Own(*slabs[1].slab));
  std::set<Slab*> seen;
  ForEachOwned(*me, me->used, [&](OwnedSlab owned) {
    EXPECT_TRUE(seen.insert(&owned.slab()).second);
    Unplace(*me, owned);  // the walk goes on all the same
  });
  EXPECT_EQ(seen.size(), 5u);
  for (FullSlab& full : slabs) Place(*me, me.Own(*full.slab));
  for (FullSlab& full : slabs) me.Free(full.out);
}

}  // namespace
}  // namespace hakmem::tiny
