// The outbox: what waits is bounded by number and bytes, and is pushed with one operation a slab.

#include "hakmem/tiny/outbox.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

constexpr uint32_t kMostBlocks = 64;
constexpr size_t kMostBytes = 8 << 10;

class OutboxTest : public HeapTest {
 protected:
  static size_t Waiting(const Heap& heap) {
    size_t n = 0;
    for (uint32_t i = 1; i <= heap.rest->outbox_used; ++i) n += heap.rest->outbox[i].chain.count;
    return n;
  }
  // The entries in use are the first ones from number 1 on, each with blocks and under its own number in the index,
  // which names no others; and the bytes are theirs.
  static void CheckAccount(const Heap& heap) {
    const HeapRest& rest = *heap.rest;
    ASSERT_LE(rest.outbox_used, HeapRest::kOutboxEntries);
    size_t bytes = 0;
    for (uint32_t i = 1; i <= rest.outbox_used; ++i) {
      const OutboxEntry& entry = rest.outbox[i];
      ASSERT_NE(entry.slab, nullptr);
      EXPECT_EQ(entry.piece, OutboxPiece(entry.slab->base()));
      EXPECT_EQ(entry.row, &entry.slab->geometry());
      EXPECT_NE(entry.chain.count, 0u);
      EXPECT_TRUE(WaitsInOutbox(heap, *entry.slab)) << i;
      bytes += entry.chain.count * entry.slab->block_size();
    }
    EXPECT_EQ(rest.outbox_bytes, bytes);
    std::set<unsigned> named;
    for (const uint8_t number : rest.outbox_index) {
      if (number == 0) continue;
      EXPECT_LE(number, rest.outbox_used);
      EXPECT_TRUE(named.insert(number).second) << "an entry twice";
    }
    EXPECT_EQ(named.size(), rest.outbox_used);
  }
  static bool Holds(const Heap& heap, const FullSlab& full) { return WaitsInOutbox(heap, *full.slab); }
  // The place in the index.
  static size_t PlaceOf(const FullSlab& full) {
    const uintptr_t piece = OutboxPiece(full.slab->base());
    return (piece ^ (piece >> 8)) % HeapRest::kOutboxIndex;
  }
  // Full slabs, `n` of them each in a place of the index of its own.
  struct Apart {
    std::vector<FullSlab> slabs;
    std::vector<FullSlab> others;  // made on the way; the last one shares a place with one of those
  };
  static Apart MakeApart(TestHeap& owner, unsigned c, size_t n) {
    Apart apart;
    std::set<size_t> places;
    for (int i = 0; i < 4096 &&
                    (apart.slabs.size() < n || apart.others.empty() || places.count(PlaceOf(apart.others.back())) == 0);
         ++i) {
      FullSlab full = MakeFull(owner, c);
      if (apart.slabs.size() < n && places.insert(PlaceOf(full)).second) {
        apart.slabs.push_back(std::move(full));
      } else {
        apart.others.push_back(std::move(full));
      }
    }
    EXPECT_EQ(apart.slabs.size(), n);
    EXPECT_FALSE(apart.others.empty());
    return apart;
  }
  static void FreeAll(TestHeap& heap, const Apart& apart) {
    for (const FullSlab& full : apart.slabs) heap.Free(full.out);
    for (const FullSlab& full : apart.others) heap.Free(full.out);
  }
};

TEST_F(OutboxTest, BlocksOfOneSlabGoTogether) {
  TestHeap owner;
  TestHeap me;
  FullSlab full = MakeFull(owner, ClassOfSize(64));
  for (uint32_t i = 1; i < kMostBlocks; ++i) me.Free(full.TakeOut());
  EXPECT_EQ(Waiting(*me), kMostBlocks - 1);
  EXPECT_EQ(full.slab->PeekRemote().count, 0u);
  CheckAccount(*me);
  me.Free(full.TakeOut());
  EXPECT_EQ(Waiting(*me), 0u);
  EXPECT_EQ(full.slab->PeekRemote().count, kMostBlocks);
  EXPECT_EQ(me->counters.remote_pushes.value(), 1u);
  EXPECT_EQ(me->counters.remote_frees.value(), kMostBlocks);
  CheckAccount(*me);
  me.Free(full.out);
}

TEST_F(OutboxTest, LargerBlocksWaitInSmallerNumbers) {
  TestHeap owner;
  TestHeap me;
  const unsigned c = ClassOfSize(512);
  FullSlab full = MakeFull(owner, c);
  for (size_t i = 1; i < kMostBytes / 512; ++i) me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->PeekRemote().count, 0u);
  me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->PeekRemote().count, kMostBytes / 512);
  FullSlab large = MakeFull(owner, ClassOfSize(300000));
  me.Free(large.TakeOut());
  EXPECT_EQ(Waiting(*me), 0u) << "one is enough";
  CheckAccount(*me);
  me.Free(full.out);
  me.Free(large.out);
}

TEST_F(OutboxTest, AllTogetherAreBoundedInBytes) {
  TestHeap owner;
  TestHeap me;
  // Three blocks of 1 KiB a slab are below the bound of a slab.
  constexpr size_t kBlock = 1024;
  Apart apart = MakeApart(owner, ClassOfSize(kBlock), 60);
  size_t most = 0;
  int at_the_bound = 0;
  for (FullSlab& full : apart.slabs) {
    for (int i = 0; i < 3; ++i) {
      const size_t before = me->rest->outbox_bytes;
      const uint64_t pushes = me->counters.remote_pushes.value();
      me.Free(full.TakeOut());
      most = std::max(most, me->rest->outbox_bytes);
      ASSERT_LT(me->rest->outbox_bytes, kMostOutboxBytes);
      if (before == kMostOutboxBytes - kBlock) {
        EXPECT_EQ(me->counters.remote_pushes.value(), pushes + 1) << "one entry, not all";
        ++at_the_bound;
      } else {
        EXPECT_EQ(me->counters.remote_pushes.value(), pushes);
      }
    }
  }
  EXPECT_GT(at_the_bound, 1);
  EXPECT_EQ(most, kMostOutboxBytes - kBlock) << "up to the bound";
  CheckAccount(*me);
  FreeAll(me, apart);
}

TEST_F(OutboxTest, TheSecondBlockOfASlabNeedsNoLookUp) {
  TestHeap owner;
  TestHeap me;
  FullSlab full = MakeFull(owner, ClassOfSize(64));
  const auto again = [&](void* p) { return me.Drive([p] { return AddAgainToOutbox(p); }); };
  Block* const first = full.TakeOut();
  EXPECT_FALSE(again(first)) << "nothing of its slab waits";
  me.Free(first);
  EXPECT_FALSE(again(first)) << "freed twice in a row";
  Block* const second = full.TakeOut();
  EXPECT_FALSE(again(reinterpret_cast<char*>(second) + 16)) << "inside a block";
  EXPECT_FALSE(again(full.slab->base() + kSlabSize)) << "another slab";
  EXPECT_FALSE(again(nullptr));
  EXPECT_EQ(Waiting(*me), 1u);
  EXPECT_TRUE(again(second));
  EXPECT_EQ(Waiting(*me), 2u);
  EXPECT_EQ(me->counters.remote_frees.value(), 2u);
  EXPECT_FALSE(me->busy);
  CheckAccount(*me);
  FlushOutbox(*me);
  EXPECT_EQ(full.slab->PeekRemote().count, 2u);
  EXPECT_FALSE(again(full.out.back())) << "nothing waits any more";
  me.Free(full.out);
}

TEST_F(OutboxTest, ItIsBoundedThatWayToo) {
  TestHeap owner;
  TestHeap me;
  FullSlab full = MakeFull(owner, ClassOfSize(64));
  me.Free(full.TakeOut());
  for (uint32_t i = 1; i < kMostBlocks; ++i) {
    Block* const block = full.TakeOut();
    ASSERT_TRUE(me.Drive([block] { return AddAgainToOutbox(block); })) << i;
  }
  EXPECT_EQ(Waiting(*me), 0u);
  EXPECT_EQ(full.slab->PeekRemote().count, kMostBlocks);
  CheckAccount(*me);
  me.Free(full.out);
}

// A slab whose blocks wait may have become the heap's own since.
TEST_F(OutboxTest, BlocksOfASlabThatIsOwnByNowComeHome) {
  TestHeap owner;
  TestHeap me;
  FullSlab full = MakeFull(owner, ClassOfSize(64));
  me.Free(full.TakeOut());
  ReleaseOrPlace(*owner, owner.Own(*full.slab));
  {
    OwnedSlab owned = me.Own(*full.slab);
    Place(*me, owned);
  }
  Block* const block = full.TakeOut();
  ASSERT_TRUE(me.Drive([block] { return AddAgainToOutbox(block); }));
  FlushOutbox(*me);
  EXPECT_EQ(full.slab->PeekRemote().count, 2u);
  EXPECT_FALSE(me->inbox.IsEmpty());
  ReadInbox(*me);
  EXPECT_TRUE(me.Own(*full.slab).HasFree());
  me.Free(full.out);
}

TEST_F(OutboxTest, ManySlabsShareTheEntries) {
  TestHeap owner;
  TestHeap me;
  std::vector<FullSlab> slabs;
  for (int i = 0; i < 600; ++i) slabs.push_back(MakeFull(owner, ClassOfSize(1024)));
  for (FullSlab& full : slabs) {
    me.Free(full.TakeOut());
    ASSERT_LE(Waiting(*me), HeapRest::kOutboxEntries);
  }
  CheckAccount(*me);
  FlushOutbox(*me);
  EXPECT_EQ(me->rest->outbox_used, 0u);
  EXPECT_EQ(me->rest->outbox_bytes, 0u);
  CheckAccount(*me);
  for (FullSlab& full : slabs) {
    EXPECT_EQ(full.slab->PeekRemote().count, 1u) << "nothing lost, nothing twice";
    me.Free(full.out);
  }
}

TEST_F(OutboxTest, ASlabWithTheSamePlaceInTheIndexPushesTheOtherOut) {
  TestHeap owner;
  TestHeap me;
  Apart apart = MakeApart(owner, ClassOfSize(256), 40);
  FullSlab& late = apart.others.back();
  FullSlab* early = nullptr;
  for (FullSlab& full : apart.slabs) {
    if (PlaceOf(full) == PlaceOf(late)) early = &full;
    me.Free(full.TakeOut());
  }
  ASSERT_NE(early, nullptr);
  ASSERT_TRUE(Holds(*me, *early));
  me.Free(late.TakeOut());
  EXPECT_TRUE(Holds(*me, late));
  EXPECT_FALSE(Holds(*me, *early));
  EXPECT_EQ(early->slab->PeekRemote().count, 1u);
  EXPECT_EQ(me->counters.remote_pushes.value(), 1u) << "no other";
  CheckAccount(*me);
  FreeAll(me, apart);
}

// The entry that the last one replaces is anywhere: in front, in the middle, the last one itself.
TEST_F(OutboxTest, TheLastEntryClosesAGap) {
  TestHeap owner;
  TestHeap me;
  Apart apart = MakeApart(owner, ClassOfSize(64), 12);
  std::vector<FullSlab*> waiting;
  for (FullSlab& full : apart.slabs) {
    me.Free(full.TakeOut());
    waiting.push_back(&full);
  }
  for (const size_t at : {0, 5, 9, 3, 7, 0, 1}) {
    FullSlab* const goes = waiting[at];
    ASSERT_EQ(me->rest->outbox[at + 1].slab, goes->slab);
    while (Holds(*me, *goes)) me.Free(goes->TakeOut());
    EXPECT_EQ(goes->slab->PeekRemote().count, kMostBlocks);
    waiting[at] = waiting.back();
    waiting.pop_back();
    ASSERT_EQ(me->rest->outbox_used, waiting.size());
    CheckAccount(*me);
    for (FullSlab* full : waiting) {
      EXPECT_TRUE(Holds(*me, *full));
      EXPECT_EQ(full->slab->PeekRemote().count, 0u);
    }
    // Found by the number that it has now.
    FullSlab* const moved = waiting[at < waiting.size() ? at : 0];
    Block* const block = moved->TakeOut();
    ASSERT_TRUE(me.Drive([block] { return AddAgainToOutbox(block); }));
    CheckAccount(*me);
  }
  FreeAll(me, apart);
}

TEST_F(OutboxTest, WithAllEntriesFullTheOneWhoseTurnItIsGoes) {
  TestHeap owner;
  TestHeap me;
  constexpr size_t kTurn = 100;
  me->rest->outbox_next = kTurn + 2;
  Apart apart = MakeApart(owner, ClassOfSize(64), HeapRest::kOutboxIndex);
  for (size_t i = 0; i < HeapRest::kOutboxEntries; ++i) me.Free(apart.slabs[i].TakeOut());
  EXPECT_EQ(me->rest->outbox_used, HeapRest::kOutboxEntries);
  EXPECT_EQ(me->counters.remote_pushes.value(), 0u);
  CheckAccount(*me);
  FullSlab* const late[] = {&apart.slabs.back(), &apart.slabs[kTurn]};
  for (size_t i = 0; i < 2; ++i) {
    FullSlab& goes = apart.slabs[kTurn - i];
    ASSERT_TRUE(Holds(*me, goes));
    me.Free(late[i]->TakeOut());
    EXPECT_EQ(me->rest->outbox_used, HeapRest::kOutboxEntries);
    EXPECT_EQ(me->counters.remote_pushes.value(), i + 1);
    EXPECT_TRUE(Holds(*me, *late[i]));
    EXPECT_FALSE(Holds(*me, goes));
    EXPECT_EQ(goes.slab->PeekRemote().count, 1u);
    CheckAccount(*me);
  }
  FreeAll(me, apart);
}

// Each refill sends a part, and every entry has its turn, wherever the round stands and whatever is added meanwhile.
TEST_F(OutboxTest, EveryEntryHasItsTurn) {
  constexpr size_t kEarly = 64;
  constexpr size_t kAtATime = kEarly / 32;
  for (const uint32_t start : {0u, 1u, 20u, 64u, 200u}) {
    TestHeap owner;
    TestHeap me;
    me->rest->outbox_next = start;
    Apart apart = MakeApart(owner, ClassOfSize(64), 200);
    for (size_t i = 0; i < kEarly; ++i) me.Free(apart.slabs[i].TakeOut());
    size_t late = kEarly;
    int calls = 0;
    const auto early_wait = [&] {
      for (size_t i = 0; i < kEarly; ++i) {
        if (Holds(*me, apart.slabs[i])) return true;
      }
      return false;
    };
    while (early_wait()) {
      ASSERT_LT(calls, 64) << "the rest of a round, and one more";
      const uint64_t pushes = me->counters.remote_pushes.value();
      FlushSomeOfOutbox(*me);
      EXPECT_EQ(me->counters.remote_pushes.value() - pushes, kAtATime) << "no call takes long";
      CheckAccount(*me);
      ++calls;
      for (size_t i = 0; i < kAtATime; ++i) me.Free(apart.slabs[late++].TakeOut());
    }
    if (start == 0) {
      EXPECT_EQ(calls, 32);
    }
    for (size_t i = 0; i < kEarly; ++i) EXPECT_EQ(apart.slabs[i].slab->PeekRemote().count, 1u) << i;
    FreeAll(me, apart);
  }
}

TEST_F(OutboxTest, RefillAndTheEndOfAThreadSendWhatWaits) {
  TestHeap owner;
  TestHeap me;
  FullSlab full = MakeFull(owner, ClassOfSize(64));
  me.Free(full.TakeOut());
  Block* const block = me.Refill(ClassOfSize(2000));
  EXPECT_EQ(full.slab->PeekRemote().count, 1u);
  me.Free(full.TakeOut());
  me.Free(block);
  me.End();
  EXPECT_EQ(full.slab->PeekRemote().count, 2u);
  owner.Free(full.out);
}

// Freed by a thread that could not get a heap, into a slab that nobody owns: whoever needs blocks finds them.
TEST_F(OutboxTest, WhatIsFreedWithoutAHeapIsFoundAgain) {
  TestHeap owner;
  TestHeap me;
  const unsigned c = ClassOfSize(2000);
  FullSlab full = MakeFull(owner, c);
  Chain owned;
  owned.PushFront(full.TakeOut());
  PushWithoutHeap(*full.slab, owned);
  EXPECT_FALSE(owner->inbox.IsEmpty()) << "its owner is told";
  owner.End();
  Block* const first = me.Refill(c);
  EXPECT_EQ(address_map::SlabOf(first), full.slab);
  full.out.push_back(first);
  ReleaseOrPlace(*me, me.Own(*full.slab));  // without blocks: not posted
  Chain unowned;
  unowned.PushFront(full.TakeOut());
  PushWithoutHeap(*full.slab, unowned);
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  Block* const block = me.Refill(c);
  EXPECT_EQ(address_map::SlabOf(block), full.slab);
  me.Free(full.out);
  me.Free(block);
}

}  // namespace
}  // namespace hakmem::tiny
