// Where refill looks, one source after the other, and what it does with a candidate that is no good.

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

const unsigned kClass = ClassOfSize(4096);  // 16 blocks a slab, carved one at a time

class RefillOrderTest : public HeapTest {
 protected:
  static Slab* SlabOf(Block* block) { return address_map::SlabOf(block); }
};

TEST_F(RefillOrderTest, EachSourceInItsTurn) {
  TestHeap me;
  TestHeap other;
  std::vector<Block*> out;

  FullSlab bound = MakeFull(me, kClass);
  Bind(*me, me.Own(*bound.slab));
  PutHome(me, bound);
  FullSlab notified = MakeFull(me, kClass);
  other.Free(notified.TakeOut());
  FlushOutbox(*other);
  // In the ring: given up without blocks, and freed into by somebody without a heap since.
  FullSlab sticky = MakeFull(me, kClass);
  RememberSticky(*me, sticky.slab);
  ReleaseOrPlace(*me, me.Own(*sticky.slab));
  HeapId notify;
  PushFromOutside(sticky, &notify);
  EXPECT_EQ(notify, kNoHeap);
  FullSlab hot = MakeFull(me, kClass);
  PutHome(me, hot);
  Place(*me, me.Own(*hot.slab));
  FullSlab bench = MakeFull(me, kClass);
  PutHome(me, bench);
  Place(*me, me.Own(*bench.slab));
  me->SetHot(kClass, hot.slab);
  ASSERT_EQ(me->bench(kClass), bench.slab) << "in front of the hot one";
  FullSlab mailbox = MakeFull(other, kClass);
  PutHome(other, mailbox);
  ReleaseOrPlace(*other, other.Own(*mailbox.slab));
  FullSlab board = MakeFull(other, kClass);
  PutHome(other, board);
  ReleaseOrPlace(*other, other.Own(*board.slab));
  // One block of the slab was handed out.
  std::optional<OwnedSlab> fresh = pool::Acquire(me->pool_cache, me->who, kClass);
  ASSERT_TRUE(fresh.has_value());
  Slab* const uncarved = &fresh->slab();
  bool clean;
  out.push_back(fresh->Carve(1, &clean).first);
  Place(*me, *fresh);
  ASSERT_EQ(me->rest->uncarved[kClass], uncarved);

  const std::vector<std::pair<const char*, Slab*>> wanted = {
      {"bound", bound.slab}, {"inbox", notified.slab},  {"sticky", sticky.slab}, {"hot", hot.slab},
      {"bench", bench.slab}, {"mailbox", mailbox.slab}, {"board", board.slab},   {"uncarved", uncarved}};
  for (const auto& [name, slab] : wanted) {
    Block* block = me.Refill(kClass);
    ASSERT_NE(block, nullptr) << name;
    EXPECT_EQ(SlabOf(block), slab) << name;
    EXPECT_EQ(slab->owner(), me->who.id) << name;
    EXPECT_EQ(slab->place, Slab::Place::kBound) << name;
    out.push_back(block);
  }
  EXPECT_EQ(me->counters.adopted.value(), 3u) << "from the ring, the mailbox and the board";
  // The bound slab has memory left that was never handed out: 16 blocks, two of which are out.
  for (int i = 0; i < 14; ++i) {
    out.push_back(me.Refill(kClass));
    EXPECT_EQ(SlabOf(out.back()), uncarved);
  }
  const auto acquired = [] {
    uint64_t sum = 0;
    for (uint64_t n : pool::GetStatistics().acquired) sum += n;
    return sum;
  };
  const uint64_t before = acquired();
  out.push_back(me.Refill(kClass));
  EXPECT_EQ(acquired(), before + 1) << "the shared pool comes last";

  for (FullSlab* full : {&bound, &notified, &sticky, &hot, &bench, &mailbox, &board}) me.Free(full->out);
  me.Free(out);
}

TEST_F(RefillOrderTest, AClassThatGrowsAsksForHugePages) {
  TestHeap me;
  TestHeap other;
  std::vector<Block*> blocks;
  for (const bool dense : {false, false, true, true}) {
    for (size_t i = 0; i < kSlabSize / 4096; ++i) blocks.push_back(me.Allocate(kClass));
    EXPECT_EQ(me->pool_cache.dense, dense) << blocks.size();
  }
  blocks.push_back(me.Allocate(ClassOfSize(8192)));
  EXPECT_FALSE(me->pool_cache.dense) << "the first slab of another class";
  blocks.push_back(me.Allocate(kMaxListedClass + 1));
  EXPECT_TRUE(me->pool_cache.dense) << "a block that is used whole";
  me.Free(blocks);
}

TEST_F(RefillOrderTest, ThoseOfAnOnlyThreadSoEarlier) {
  TestHeap me;
  std::vector<Block*> blocks;
  for (const bool dense : {false, true, true}) {
    for (size_t i = 0; i < kSlabSize / 4096; ++i) blocks.push_back(me.Allocate(kClass));
    EXPECT_EQ(me->pool_cache.dense, dense) << blocks.size();
  }
  me.Free(blocks);
}

TEST_F(RefillOrderTest, OwnListsComeBeforeEverySlab) {
  TestHeap me;
  FullSlab bound = MakeFull(me, kClass);
  Bind(*me, me.Own(*bound.slab));
  PutHome(me, bound);
  FullSlab listed = MakeFull(me, kClass);
  const std::vector<Block*> freed = {listed.TakeOut(), listed.TakeOut(), listed.TakeOut()};
  me.Free(freed);
  const uint64_t refills = me->counters.refills.value();
  // The free list is taken over whole, the block freed last first.
  for (int i = 2; i >= 0; --i) EXPECT_EQ(me.Allocate(kClass), freed[i]);
  EXPECT_EQ(me->counters.takeovers.value(), 1u);
  EXPECT_EQ(me->counters.refills.value(), refills);
  Block* next = me.Allocate(kClass);
  EXPECT_EQ(SlabOf(next), bound.slab);
  EXPECT_EQ(me->counters.refills.value(), refills + 1);
  me.Free(next);
  me.Free(freed);
  me.Free(bound.out);
  me.Free(listed.out);
}

// Blocks that an earlier driver left in the lists of a heap are used, not lost.
TEST_F(RefillOrderTest, AListThatTheHeapCameWithIsUsed) {
  TestHeap me;
  FullSlab full = MakeFull(me, kClass);
  Block* const second = full.TakeOut();
  Block* const first = full.TakeOut();
  SetNext(second, nullptr);
  SetNext(first, second);
  me->alloc(kClass) = first;
  EXPECT_EQ(me.Refill(kClass), first);
  EXPECT_EQ(me.Refill(kClass), second);
  EXPECT_EQ(me->alloc(kClass), nullptr);
  me.Free({first, second});
  me.Free(full.out);
}

TEST_F(RefillOrderTest, WhatSomebodyElseOwnsIsSkippedAndNotDrained) {
  TestHeap me;
  TestHeap other;
  TestHeap third;
  // What other tests have named.
  while (TakeFromMailbox(kClass, false) != nullptr) continue;
  while (TakeFromBoard(kClass, false) != nullptr) continue;
  // Named in the mailbox, on the board and in the ring; then claimed by another heap, and freed into.
  FullSlab taken[2] = {MakeFull(other, kClass), MakeFull(other, kClass)};
  FullSlab free = MakeFull(other, kClass);
  PutHome(other, free);
  ReleaseOrPlace(*other, other.Own(*taken[0].slab));  // has no blocks: not named
  ReleaseOrPlace(*other, other.Own(*taken[1].slab));
  for (FullSlab& each : taken) PutHome(other, each);
  ReleaseOrPlace(*other, other.Own(*taken[0].slab));  // mailbox
  ReleaseOrPlace(*other, other.Own(*free.slab));      // board, behind the next one
  ReleaseOrPlace(*other, other.Own(*taken[1].slab));  // board
  RememberSticky(*me, taken[0].slab);
  for (FullSlab& each : taken) {
    Place(*third, third.Own(*each.slab));
    HeapId notify;
    PushFromOutside(each, &notify);
    EXPECT_EQ(notify, third->who.id);
    third->inbox.Put(each.slab);
  }

  Block* block = me.Refill(kClass);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(SlabOf(block), free.slab) << "refused once, the board is asked again";
  EXPECT_EQ(me->counters.claims_refused.value(), 2u);
  for (const FullSlab& each : taken) {
    EXPECT_EQ(each.slab->owner(), third->who.id);
    EXPECT_EQ(each.slab->PeekRemote().count, 1u);
  }
  me.Free(block);
  me.Free(free.out);
  for (FullSlab& each : taken) me.Free(each.out);
}

TEST_F(RefillOrderTest, ASlabOfAnotherClassIsNotUsed) {
  TestHeap me;
  TestHeap other;
  const unsigned other_class = ClassOfSize(5000);
  FullSlab named = MakeFull(other, kClass);
  PutHome(other, named);
  Slab* const slab = named.slab;
  ReleaseOrPlace(*other, other.Own(*slab));  // named in the mailbox of the class
  {
    OwnedSlab owned = other.Own(*slab);
    Chain chain;
    for (Block* block : named.out) chain.PushFront(block);
    owned.Push(chain);
    Settle(*other, std::move(owned));
  }
  // Another life, another class, and given up with blocks in it.
  std::optional<OwnedSlab> again = pool::Acquire(other->pool_cache, other->who, other_class);
  ASSERT_TRUE(again.has_value());
  ASSERT_EQ(&again->slab(), slab);
  bool clean;
  Block* const out = again->Carve(1, &clean).first;
  ReleaseOrPlace(*other, std::move(*again));

  Block* const block = me.Refill(kClass);
  EXPECT_NE(SlabOf(block), slab);
  EXPECT_EQ(slab->owner(), kNoHeap) << "given up again";
  Block* const found = me.Refill(other_class);
  EXPECT_EQ(SlabOf(found), slab) << "and found under its class";
  me.Free({block, found, out});
}

// Listed under a class that it had formerly, a slab is found under the one that it has.
TEST_F(RefillOrderTest, AnEntryOfAFormerLifeDoesNotHideASlab) {
  TestHeap me;
  TestHeap other;
  const unsigned other_class = ClassOfSize(5000);
  // The mailboxes of both classes are taken, so that the board is used.
  FullSlab boxed[2] = {MakeFull(other, kClass), MakeFull(other, other_class)};
  FullSlab listed = MakeFull(other, kClass);
  for (FullSlab* full : {&boxed[0], &boxed[1], &listed}) {
    PutHome(other, *full);
    ReleaseOrPlace(*other, other.Own(*full->slab));
  }
  Slab* const slab = listed.slab;
  {
    OwnedSlab owned = other.Own(*slab);
    Chain chain;
    for (Block* block : listed.out) chain.PushFront(block);
    owned.Push(chain);
    Settle(*other, std::move(owned));
  }
  std::optional<OwnedSlab> again = pool::Acquire(other->pool_cache, other->who, other_class);
  ASSERT_EQ(&again->slab(), slab);
  bool clean;
  Block* const out = again->Carve(1, &clean).first;
  ReleaseOrPlace(*other, std::move(*again));

  const std::vector<Block*> blocks = {me.Refill(other_class), me.Refill(other_class)};
  EXPECT_EQ(SlabOf(blocks[0]), boxed[1].slab);
  EXPECT_EQ(SlabOf(blocks[1]), slab);
  me.Free({out, blocks[0], blocks[1]});
  for (FullSlab& full : boxed) me.Free(full.out);
}

}  // namespace
}  // namespace hakmem::tiny
