// Which heap a thread drives: from its first allocation to its end, and after it.

#include "hakmem/tiny/thread_heap.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
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
  TidyAllPooled();
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

// Most of what a short thread costs is slabs that it takes and gives up.
TEST_F(ThreadHeapTest, AThreadWithLittleLeavesItToTheNext) {
  const unsigned classes[] = {1, 5, ClassOfSize(700), ClassOfSize(5000)};
  constexpr size_t kBlocks = 3;
  Heap* heap = nullptr;
  std::vector<Block*> had;
  test::RunInThread([&] {
    std::vector<Block*> blocks;
    for (unsigned c : classes) {
      for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(AllocateHere(c));
    }
    heap = tls_heap;
    for (Block* block : blocks) FreeHere(block);
    had = blocks;
  });
  EXPECT_EQ(heap->state.Get(), HeapState::kWarm);
  EXPECT_EQ(heap->driven_by.load(), 0u);
  const uint64_t refills = heap->counters.refills.value();
  const uint64_t slots = pool::GetStatistics().active_slots;
  ASSERT_GE(slots, 4u);
  test::RunInThread([&] {
    FreeHere(AllocateHere(5));
    for (unsigned c : classes) {
      if (c == 5) continue;
      // The list knows how many blocks it holds.
      const FreeList& list = heap->free(c);
      EXPECT_GE(Length(list.head), kBlocks) << c;
      EXPECT_EQ(list.filled - ThreadPointer(), kMaxListLength - ListCapacity(c) + Length(list.head)) << c;
    }
    for (unsigned c : classes) {
      std::vector<Block*> blocks;
      bool again = false;
      for (size_t i = 0; i < kBlocks; ++i) {
        blocks.push_back(AllocateHere(c));
        again = again || std::count(had.begin(), had.end(), blocks.back()) != 0;
      }
      EXPECT_EQ(tls_heap, heap);
      EXPECT_TRUE(again) << c;
      for (Block* block : blocks) FreeHere(block);
    }
  });
  EXPECT_EQ(heap->counters.refills.value(), refills);
  EXPECT_EQ(pool::GetStatistics().active_slots, slots);
  TidyAllPooled();
  EXPECT_EQ(heap->state.Get(), HeapState::kPooled);
  EXPECT_EQ(pool::GetStatistics().active_slots, 0u) << "nor does it keep what is to be given back";
}

TEST_F(ThreadHeapTest, WhatOthersFreeMeanwhileWaitsForTheNextThread) {
  const unsigned c = ClassOfSize(1000);
  Heap* heap = nullptr;
  std::vector<Block*> out;
  test::RunInThread([&] {
    for (int i = 0; i < 50; ++i) out.push_back(AllocateHere(c));
    heap = tls_heap;
  });
  ASSERT_EQ(heap->state.Get(), HeapState::kWarm);
  Slab* const slab = address_map::SlabOf(out[0]);
  {
    Chain chain;
    for (Block* block : out) {
      if (address_map::SlabOf(block) == slab) chain.PushFront(block);
    }
    std::erase_if(out, [&](Block* block) { return address_map::SlabOf(block) == slab; });
    PushWithoutHeap(*slab, chain);
  }
  EXPECT_EQ(heap->state.Get(), HeapState::kWarm);
  EXPECT_FALSE(heap->inbox.LooksEmpty());
  test::RunInThread([&] {
    bool again = false;
    for (int i = 0; i < 200; ++i) {
      out.push_back(AllocateHere(c));
      again = again || address_map::SlabOf(out.back()) == slab;
    }
    EXPECT_EQ(tls_heap, heap);
    EXPECT_TRUE(heap->inbox.LooksEmpty());
    EXPECT_TRUE(again);
    for (Block* block : out) FreeHere(block);
  });
}

TEST_F(ThreadHeapTest, AThreadWithMuchLeavesNothing) {
  for (const size_t slots : {32, 33}) {
    Heap* heap = nullptr;
    std::vector<Block*> out;
    test::RunInThread([&] {
      // A slab of each class: full ones would not be its own.
      for (unsigned c = 1; pool::GetStatistics().active_slots < slots; ++c) {
        if (IsClass(c)) out.push_back(AllocateHere(c));
      }
      heap = tls_heap;
    });
    const bool little = pool::GetStatistics().active_slots <= 32;
    EXPECT_EQ(heap->state.Get(), little ? HeapState::kWarm : HeapState::kPooled) << slots;
    EXPECT_EQ(address_map::SlabOf(out.back())->owner(), little ? heap->who.id : kNoHeap);
    TidyAllPooled();
    test::RunInThread([&] {
      for (Block* block : out) FreeHere(block);
    });
    TidyAllPooled();
    ASSERT_EQ(pool::GetStatistics().active_slots, 0u);
  }
}

TEST_F(ThreadHeapTest, OneHeapStaysWarm) {
  Heap* first = nullptr;
  Heap* second = nullptr;
  test::RunInThread([&] {
    FreeHere(AllocateHere(5));
    first = tls_heap;
    test::RunInThread([&] {
      FreeHere(AllocateHere(5));
      second = tls_heap;
    });
    EXPECT_EQ(second->state.Get(), HeapState::kWarm);
  });
  EXPECT_EQ(first->state.Get(), HeapState::kPooled);
  EXPECT_EQ(first->free(5).filled, 0u);
  // The next thread takes it, although another one was put back after it.
  test::RunInThread([&] {
    FreeHere(AllocateHere(5));
    EXPECT_EQ(tls_heap, second);
  });
}

TEST_F(ThreadHeapTest, NoHeapStaysWarmWhereEachKeepsItsSlabsOrIdleMemoryIsNotWanted) {
  const Options options = g_options;
  const auto stays_warm = [&] {
    Heap* heap = nullptr;
    test::RunInThread([&] {
      FreeHere(AllocateHere(5));
      heap = tls_heap;
    });
    const HeapState state = heap->state.Get();
    g_options = options;
    TidyAllPooled();
    return state == HeapState::kWarm;
  };
  EXPECT_TRUE(stays_warm());
  g_options.tiny_ss_adopt = 0;
  EXPECT_FALSE(stays_warm());
  g_options.memory_limit = 1 << 30;
  EXPECT_FALSE(stays_warm());
  g_options.purge_delay_ms = 0;
  EXPECT_FALSE(stays_warm());
  g_options.idle_keep = (2 << 20) - 1;
  EXPECT_FALSE(stays_warm());
  g_options.idle_keep = 2 << 20;
  EXPECT_TRUE(stays_warm());
}

// Threads that live long and need little inherit what short ones had, one after the other.
TEST_F(ThreadHeapTest, SleepersInheritLittleInAll) {
  constexpr unsigned kSleepers = 40;
  const unsigned c = ClassOfSize(1000);
  std::vector<std::thread> sleepers;
  std::atomic<unsigned> asleep{0};
  std::atomic<bool> wake{false};
  for (unsigned i = 0; i < kSleepers; ++i) {
    test::RunInThread([&] {
      std::vector<Block*> blocks;
      for (int n = 0; n < 1000; ++n) blocks.push_back(AllocateHere(c));
      for (Block* block : blocks) FreeHere(block);
    });
    sleepers.emplace_back([&] {
      Block* const block = AllocateHere(5);
      asleep.fetch_add(1);
      while (!wake.load()) std::this_thread::yield();
      FreeHere(block);
    });
    while (asleep.load() != i + 1) std::this_thread::yield();
  }
  EXPECT_LE(pool::GetStatistics().active_slots, heap_pool::kMostInherited + 2 * kSleepers);
  wake.store(true);
  for (std::thread& sleeper : sleepers) sleeper.join();
}

// In a forked child many heaps of threads that are gone may hold blocks of each other: each has to be tidied, by a
// thread whose stack may be small.
TEST_F(ThreadHeapTest, HeapsThatHoldBlocksOfEachOtherAreTidiedOneByOne) {
  constexpr size_t kHeaps = 2000;
  const unsigned c = ClassOfSize(64);
  for (const bool all : {true, false}) {
    std::vector<Heap*> heaps;
    static Block* one_more;
    {
      std::vector<TestHeap> made(kHeaps);
      std::vector<Block*> blocks;
      for (TestHeap& heap : made) blocks.push_back(heap.Allocate(c));
      one_more = made[0].Allocate(c);
      for (size_t i = 0; i < kHeaps; ++i) made[i].Free(blocks[(i + 1) % kHeaps]);
      for (TestHeap& heap : made) heaps.push_back(heap.Abandon());
    }
    for (const Heap* heap : heaps) ASSERT_EQ(heap->rest->outbox_used, 1u);
    pthread_attr_t attributes;
    ASSERT_EQ(pthread_attr_init(&attributes), 0);
    ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 << 10), 0);
    const auto tidy_all = [](void*) -> void* {
      TidyAllPooled();
      return nullptr;
    };
    // A block comes home to the first heap, which has one of the second, and so on.
    const auto tidy_first = [](void*) -> void* {
      Chain chain;
      chain.PushFront(one_more);
      PushWithoutHeap(*address_map::SlabOf(one_more), chain);
      return nullptr;
    };
    pthread_t thread;
    ASSERT_EQ(all ? pthread_create(&thread, &attributes, tidy_all, nullptr)
                  : pthread_create(&thread, &attributes, tidy_first, nullptr),
              0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    for (const Heap* heap : heaps) {
      ASSERT_EQ(heap->rest->outbox_used, 0u) << all;
      ASSERT_TRUE(heap->inbox.IsEmpty()) << all;
    }
    if (all) FreeHere(one_more);
  }
}

// A block that was freed twice, or what is no block, is reported at the end of the thread that freed it.
TEST_F(ThreadHeapTest, NoHeapStaysWarmWhoseListsAreBroken) {
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  for (const bool ring : {true, false}) {
    Heap* heap = nullptr;
    testing::internal::CaptureStderr();
    test::RunInThread([&] {
      Block* const block = AllocateHere(5);
      heap = tls_heap;
      FreeHere(block);
      ASSERT_EQ(heap->free(5).head, block);
      auto* const inside = reinterpret_cast<Block*>(reinterpret_cast<char*>(block) + 16);
      SetNext(block, ring ? block : inside);
      if (!ring) SetNext(inside, nullptr);
    });
    EXPECT_EQ(heap->state.Get(), HeapState::kPooled) << ring;
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                testing::HasSubstr(ring ? "double free" : "pointer that is not the start of a block"));
  }
}

// Also where the block is about to be handed out again.
TEST_F(ThreadHeapTest, NoHeapStaysWarmThatTookOverABrokenList) {
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  Heap* heap = nullptr;
  testing::internal::CaptureStderr();
  test::RunInThread([&] {
    Block* const twice = AllocateHere(5);
    heap = tls_heap;
    std::vector<Block*> others;
    while (heap->alloc(5) != nullptr) others.push_back(AllocateHere(5));
    Block* const last = others.back();
    others.pop_back();
    FreeHere(twice);
    FreeHere(last);
    SetNext(twice, twice);
    ASSERT_EQ(AllocateHere(5), last);
    ASSERT_EQ(heap->alloc(5), twice);
    FreeHere(last);
    for (Block* block : others) FreeHere(block);
  });
  EXPECT_EQ(heap->state.Get(), HeapState::kPooled);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("double free"));
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
  EXPECT_EQ(heap->state.Get(), HeapState::kWarm) << "what comes later borrows another one";
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
