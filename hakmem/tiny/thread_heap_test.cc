// Which heap a thread drives: from its first allocation to its end, and after it.

#include "hakmem/tiny/thread_heap.h"

#include <pthread.h>

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"
#include "testing/support/threads.h"

namespace hakmem::tiny {
namespace {

class ThreadHeapTest : public HeapTest {
 protected:
  static void SetUpTestSuite() {
    HeapTest::SetUpTestSuite();
    PrepareThreadExit();
  }
  static Block* AllocateHere(unsigned c) {
    bool clean;
    return static_cast<Block*>(tiny::Allocate(c, &clean));
  }
  static void FreeHere(Block* block) { tiny::Free(block, *address_map::SlabOf(block)); }
};

TEST_F(ThreadHeapTest, AThreadHasAHeapFromItsFirstAllocationToItsEnd) {
  Heap* first = nullptr;
  test::RunInThread([&] {
    EXPECT_EQ(tls_heap, NotStartedHeap());
    Block* const block = AllocateHere(5);
    first = tls_heap;
    EXPECT_EQ(first->state.Get(), HeapState::kDriven);
    EXPECT_FALSE(first->busy);
    EXPECT_NE(first->free(5).filled, 0u);
    {
      HeapScope outer;
      EXPECT_EQ(outer.heap(), first);
      EXPECT_TRUE(first->busy);
      {
        HeapScope inner;
      }
      EXPECT_TRUE(first->busy) << "the outer scope is not over";
    }
    EXPECT_FALSE(first->busy);
    FreeHere(block);
  });
  EXPECT_EQ(first->state.Get(), HeapState::kPooled);
  for (unsigned c = 1; c < kListedClasses; ++c) {
    EXPECT_EQ(first->free(c).filled, 0u);
    EXPECT_EQ(first->alloc(c), nullptr);
    EXPECT_EQ(first->free(c).head, nullptr);
  }
  test::RunInThread([&] {
    FreeHere(AllocateHere(5));
    EXPECT_EQ(tls_heap, first) << "heaps outlive threads";
  });
}

// A thread comes by a heap in whose lists blocks were left, as one of a forked child does.
TEST_F(ThreadHeapTest, BlocksThatWereLeftInTheListsAreUsed) {
  const unsigned c = ClassOfSize(100);
  Heap* const left = heap_pool::Acquire();
  bool clean;
  Block* const given = Refill(*left, c, &clean);
  Slab* const slab = address_map::SlabOf(given);
  const size_t in_list = Length(left->alloc(c));
  ASSERT_GT(in_list, 0u);
  Block* const head = left->alloc(c);
  // The free list, too.
  SetNext(given, nullptr);
  left->free(c).head = given;
  heap_pool::Release(left);
  test::RunInThread([&] {
    std::vector<Block*> blocks;
    for (size_t i = 0; i < in_list + 1; ++i) blocks.push_back(AllocateHere(c));
    EXPECT_EQ(tls_heap, left);
    EXPECT_EQ(blocks.front(), head);
    EXPECT_EQ(blocks.back(), given) << "and what had been freed after it";
    for (Block* block : blocks) EXPECT_EQ(address_map::SlabOf(block), slab);
    for (Block* block : blocks) FreeHere(block);
  });
}

// A destructor of another key frees and allocates, in whatever round it runs, also after the heap has ended.
TEST_F(ThreadHeapTest, DestructorsOfOtherKeysFindAHeap) {
  // The heap ends in the third. In the fourth, glibc's last, the thread sanitizer knows the thread no more.
  static constexpr int kRounds = 3;
  static pthread_key_t key;
  static int rounds;
  static Block* kept[kRounds + 1];
  static bool finished_seen;
  rounds = 0;
  finished_seen = false;
  ASSERT_EQ(pthread_key_create(&key,
                               [](void* value) {
                                 finished_seen = finished_seen || tls_heap == FinishedHeap();
                                 FreeHere(kept[rounds]);
                                 FreeHere(AllocateHere(20));
                                 if (++rounds < kRounds) pthread_setspecific(key, value);
                               }),
            0);
  Heap* heap = nullptr;
  test::RunInThread([&] {
    for (Block*& block : kept) block = AllocateHere(20);
    heap = tls_heap;
    pthread_setspecific(key, &key);
  });
  pthread_key_delete(key);
  EXPECT_EQ(rounds, kRounds);
  EXPECT_TRUE(finished_seen) << "one of the rounds comes after the heap's end";
  EXPECT_EQ(heap->state.Get(), HeapState::kPooled);
  test::RunInThread([&] { FreeHere(kept[kRounds]); });
}

// After a fork a notifier that is gone may have set a notified bit and never linked the slab.
TEST_F(ThreadHeapTest, RepairAcknowledgesWhatWasNeverLinked) {
  TestHeap me;
  FullSlab full = MakeFull(me, ClassOfSize(1000));
  HeapId notify;
  PushFromOutside(full, &notify);
  ASSERT_EQ(notify, me->who.id);
  ASSERT_TRUE(full.slab->PeekRemote().notified);
  RepairAfterFork(*me);
  EXPECT_FALSE(full.slab->PeekRemote().notified);
  EXPECT_EQ(full.slab->place, Slab::Place::kBench);
  me.Free(full.out);
}

}  // namespace
}  // namespace hakmem::tiny
