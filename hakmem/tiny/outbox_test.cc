// The outbox: what waits is bounded by number and bytes, and is pushed with one operation a slab.

#include "hakmem/tiny/outbox.h"

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

constexpr uint32_t kMostBlocks = 64;
constexpr size_t kMostBytes = 16 << 10;
constexpr size_t kMostBytesInAll = 128 << 10;

class OutboxTest : public HeapTest {
 protected:
  static size_t Waiting(const Heap& heap) {
    size_t n = 0;
    for (const OutboxEntry& entry : heap.rest->outbox) n += entry.chain.count;
    return n;
  }
  // The bits and the bytes are those of the entries.
  static void CheckAccount(const Heap& heap) {
    size_t bytes = 0;
    for (unsigned i = 0; i < HeapRest::kOutboxEntries; ++i) {
      const OutboxEntry& entry = heap.rest->outbox[i];
      EXPECT_EQ((heap.rest->outbox_used >> i) & 1, entry.slab != nullptr ? 1u : 0u);
      EXPECT_EQ(entry.slab != nullptr, entry.chain.count != 0);
      if (entry.slab != nullptr) bytes += entry.chain.count * entry.slab->block_size();
    }
    EXPECT_EQ(heap.rest->outbox_bytes, bytes);
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
  const unsigned c = ClassOfSize(4096);
  FullSlab full = MakeFull(owner, c);
  for (size_t i = 1; i < kMostBytes / 4096; ++i) me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->PeekRemote().count, 0u);
  me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->PeekRemote().count, kMostBytes / 4096);
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
  // Three blocks of 4 KiB a slab are below the bound of a slab, and slabs next to each other have entries of their own.
  std::vector<FullSlab> slabs;
  for (int i = 0; i < 20; ++i) slabs.push_back(MakeFull(owner, ClassOfSize(4096)));
  size_t most = 0;
  bool flushed = false;
  for (FullSlab& full : slabs) {
    for (int i = 0; i < 3; ++i) {
      const size_t before = me->rest->outbox_bytes;
      me.Free(full.TakeOut());
      most = most > me->rest->outbox_bytes ? most : me->rest->outbox_bytes;
      if (before == kMostBytesInAll - 4096) {
        EXPECT_EQ(me->rest->outbox_bytes, 0u);
        EXPECT_EQ(me->rest->outbox_used, 0u);
        flushed = true;
      }
      ASSERT_LT(me->rest->outbox_bytes, kMostBytesInAll);
    }
  }
  EXPECT_TRUE(flushed);
  EXPECT_EQ(most, kMostBytesInAll - 4096) << "up to the bound";
  CheckAccount(*me);
  for (FullSlab& full : slabs) me.Free(full.out);
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
  for (int i = 0; i < 200; ++i) slabs.push_back(MakeFull(owner, ClassOfSize(1024)));
  for (FullSlab& full : slabs) {
    me.Free(full.TakeOut());
    ASSERT_LE(Waiting(*me), HeapRest::kOutboxEntries);
  }
  CheckAccount(*me);
  FlushOutbox(*me);
  EXPECT_EQ(me->rest->outbox_used, 0u);
  EXPECT_EQ(me->rest->outbox_bytes, 0u);
  for (FullSlab& full : slabs) {
    EXPECT_EQ(full.slab->PeekRemote().count, 1u) << "nothing lost, nothing twice";
    me.Free(full.out);
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
