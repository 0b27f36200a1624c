// The inbox, and the notified bit that puts a slab in at most once.

#include "hakmem/tiny/inbox.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"
#include "testing/support/threads.h"

namespace hakmem::tiny {
namespace {

struct Node {
  Node* inbox_next = nullptr;
  std::atomic<int> taken{0};
};

TEST(InboxTest, IsTakenWholeTheLastOneFirst) {
  BasicInbox<Node> inbox;
  Node nodes[3];
  EXPECT_TRUE(inbox.LooksEmpty() && inbox.IsEmpty());
  EXPECT_EQ(inbox.TakeAll(), nullptr);
  for (Node& node : nodes) inbox.Put(&node);
  EXPECT_FALSE(inbox.LooksEmpty() || inbox.IsEmpty());
  Node* taken = inbox.TakeAll();
  EXPECT_TRUE(inbox.LooksEmpty() && inbox.IsEmpty());
  for (int i = 2; i >= 0; --i, taken = taken->inbox_next) EXPECT_EQ(taken, &nodes[i]);
  EXPECT_EQ(taken, nullptr);
  inbox.Put(&nodes[1]);
  inbox.Forget();
  EXPECT_TRUE(inbox.IsEmpty());
}

TEST(InboxTest, OfManyThatPutEachOneIsTakenOnce) {
  constexpr unsigned kPutters = 3;
  constexpr size_t kEach = 4000;
  BasicInbox<Node> inbox;
  std::vector<Node> nodes(kPutters * kEach);
  std::atomic<unsigned> putting{kPutters};
  test::RunTogether(kPutters + 1, [&](unsigned i) {
    if (i < kPutters) {
      for (size_t n = 0; n < kEach; ++n) inbox.Put(&nodes[i * kEach + n]);
      putting.fetch_sub(1);
      return;
    }
    for (bool last = false; !last;) {
      last = putting.load() == 0;
      for (Node* node = inbox.TakeAll(); node != nullptr; node = node->inbox_next) {
        node->taken.fetch_add(1, std::memory_order_relaxed);  // the inbox orders
      }
    }
  });
  for (const Node& node : nodes) ASSERT_EQ(node.taken.load(), 1);
}

// Of the one who puts a slab in and the one who pools the heap, at least one sees the other.
TEST(InboxTest, WhoPutsInOrWhoPoolsSeesTheOther) {
  for (int round = 0; round < 400; ++round) {
    BasicInbox<Node> inbox;
    BasicHeapStateWord<> state;
    state.Set(HeapState::kDriven);
    Node node;
    bool putter_saw = false;
    bool pooler_saw = false;
    std::atomic<int> ready{0};
    std::thread pooler([&] {
      ready.fetch_add(1);
      while (ready.load() != 2) std::this_thread::yield();
      state.SetPooled();
      pooler_saw = !inbox.IsEmpty();
    });
    ready.fetch_add(1);
    while (ready.load() != 2) std::this_thread::yield();
    inbox.Put(&node);
    putter_saw = state.IsPooled();
    pooler.join();
    ASSERT_TRUE(putter_saw || pooler_saw) << round;
  }
}

class NotifiedTest : public HeapTest {
 protected:
  const unsigned class_ = ClassOfSize(1024);
  static size_t InInbox(Heap& heap) {
    std::vector<Slab*> slabs;
    for (Slab* slab = heap.inbox.TakeAll(); slab != nullptr; slab = slab->inbox_next) slabs.push_back(slab);
    for (Slab* slab : slabs) heap.inbox.Put(slab);
    return slabs.size();
  }
};

TEST_F(NotifiedTest, OnePushOfManyNotifies) {
  TestHeap owner;
  TestHeap others[2];
  FullSlab full = MakeFull(owner, class_);
  for (TestHeap& other : others) {
    for (int i = 0; i < 3; ++i) {
      other.Free(full.TakeOut());
      FlushOutbox(*other);
    }
  }
  EXPECT_EQ(others[0]->counters.notifications.value() + others[1]->counters.notifications.value(), 1u);
  EXPECT_EQ(InInbox(*owner), 1u);
  EXPECT_EQ(full.slab->PeekRemote().count, 6u);

  ReadInbox(*owner);
  EXPECT_FALSE(full.slab->PeekRemote().notified);
  EXPECT_EQ(full.slab->PeekRemote().count, 0u);
  EXPECT_EQ(full.slab->place, Slab::Place::kBench);
  EXPECT_EQ(owner->counters.drained.value(), 6u);

  // Acknowledged: the next push notifies anew, though what was drained is still there.
  others[1].Free(full.TakeOut());
  FlushOutbox(*others[1]);
  EXPECT_EQ(others[1]->counters.notifications.value(), 1u);
  EXPECT_EQ(InInbox(*owner), 1u);
  ReadInbox(*owner);
  EXPECT_TRUE(owner.Own(*full.slab).HasRemote()) << "its list was not empty: acknowledged, not drained";
  owner.Free(full.out);
}

TEST_F(NotifiedTest, TheLastBlockThatComesHomeEndsTheSlab) {
  TestHeap owner;
  TestHeap other;
  FullSlab full = MakeFull(owner, class_);
  other.Free(full.out);
  FlushOutbox(*other);
  EXPECT_EQ(full.slab->owner(), owner->who.id) << "notified: it waits for its owner";
  ReadInbox(*owner);
  EXPECT_EQ(full.slab->owner(), kRetired);
}

TEST_F(NotifiedTest, APooledHeapIsTidiedByWhoNotifies) {
  g_options.tiny_ss_adopt = 0;  // else the pooled heap has no slab
  TestHeap owner;
  FullSlab full = MakeFull(owner, class_);
  TestHeap other;
  Heap* const pooled = &*owner;
  owner.End();
  other.Free(full.out);
  FlushOutbox(*other);
  EXPECT_TRUE(pooled->inbox.IsEmpty());
  EXPECT_EQ(pooled->state.Get(), HeapState::kPooled);
  EXPECT_EQ(full.slab->owner(), kRetired);
}

TEST_F(NotifiedTest, AHeapThatIsDrivenIsNotTidiedByOthers) {
  TestHeap owner;
  TestHeap other;
  FullSlab full = MakeFull(owner, class_);
  other.Free(full.TakeOut());
  FlushOutbox(*other);
  TidyPooled(&*owner);
  EXPECT_EQ(InInbox(*owner), 1u);
  EXPECT_TRUE(full.slab->PeekRemote().notified);
  owner.Free(full.out);
}

}  // namespace
}  // namespace hakmem::tiny
