// Heaps, their ids, and those that no thread drives.

#include "hakmem/tiny/heap_pool.h"

#include <errno.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"
#include "testing/support/faults.h"
#include "testing/support/threads.h"

namespace hakmem::tiny {
namespace {

using HeapPoolTest = HeapTest;

// A heap that another thread drives, which is gone in a child.
Heap* AcquireInThread() {
  Heap* heap = nullptr;
  test::RunInThread([&heap] { heap = heap_pool::Acquire(); });
  return heap;
}

TEST_F(HeapPoolTest, AnIdBelongsToOneHeapForEver) {
  std::vector<Heap*> heaps;
  std::set<HeapId> ids;
  for (int i = 0; i < 300; ++i) {
    Heap* const heap = heap_pool::Acquire();
    ASSERT_NE(heap, nullptr);
    EXPECT_NE(heap->who.id, kNoHeap);
    EXPECT_LE(heap->who.id, kMaxHeapId);
    EXPECT_TRUE(ids.insert(heap->who.id).second) << "full width: not the lowest bits of anything";
    EXPECT_EQ(heap_pool::ById(heap->who.id), heap);
    EXPECT_EQ(heap->state.Get(), HeapState::kDriven);
    heaps.push_back(heap);
  }
  for (Heap* heap : heaps) heap_pool::Release(heap);
  // Pooled heaps come first, the last one put back at the front, under the ids that they had.
  for (int i = 0; i < 300; ++i) {
    Heap* const again = heap_pool::Acquire();
    EXPECT_EQ(again, heaps[heaps.size() - 1 - static_cast<size_t>(i)]);
    EXPECT_EQ(ids.count(again->who.id), 1u);
    EXPECT_EQ(heap_pool::ById(again->who.id), again);
  }
  for (Heap* heap : heaps) heap_pool::Release(heap);
}

TEST_F(HeapPoolTest, TagsOfTheListsAreTheHeapsOwn) {
  TestHeap a;
  TestHeap b;
  std::set<uint32_t> tags;
  for (const TestHeap* heap : {&a, &b}) {
    const Claimant& who = (*heap)->who;
    ASSERT_NE(who.step_tag, address_map::kNoTag);
    for (unsigned c = 1; c < kListedClasses; ++c) {
      const uint32_t tag =
          c <= kSteppedClasses ? who.step_tag + c * kTagStep : who.wide_tag + (c - kSteppedClasses - 1) * kTagStep;
      EXPECT_TRUE(tags.insert(tag).second);
      EXPECT_EQ(reinterpret_cast<FreeList*>(g_window_base + size_t{tag} * 8), &(*heap)->free(c));
    }
  }
}

TEST_F(HeapPoolTest, OnlyAPooledHeapIsTakenOut) {
  Heap* const heap = heap_pool::Acquire();
  EXPECT_FALSE(heap_pool::AcquirePooled(heap));
  heap_pool::Release(heap);
  EXPECT_EQ(heap->state.Get(), HeapState::kPooled);
  Heap* const front = heap_pool::Acquire();
  ASSERT_EQ(front, heap);
  Heap* const second = heap_pool::Acquire();
  heap_pool::Release(heap);
  heap_pool::Release(second);
  // Out of the middle.
  EXPECT_TRUE(heap_pool::AcquirePooled(heap));
  EXPECT_FALSE(heap_pool::AcquirePooled(heap));
  EXPECT_EQ(heap_pool::Acquire(), second);
  heap_pool::Release(second);
  heap_pool::Release(heap);
}

TEST_F(HeapPoolTest, ForEachComesByEveryHeapOnce) {
  std::vector<Heap*> heaps;
  for (int i = 0; i < 5; ++i) heaps.push_back(heap_pool::Acquire());
  heap_pool::Release(heaps.back());
  std::vector<Heap*> seen;
  heap_pool::ForEach([](Heap& heap, void* out) { static_cast<std::vector<Heap*>*>(out)->push_back(&heap); }, &seen);
  EXPECT_EQ(std::set<Heap*>(seen.begin(), seen.end()).size(), seen.size());
  for (Heap* heap : heaps) EXPECT_EQ(std::count(seen.begin(), seen.end(), heap), 1);
  heaps.pop_back();
  for (Heap* heap : heaps) heap_pool::Release(heap);
}

TEST_F(HeapPoolTest, ThreadsGetHeapsOfTheirOwn) {
  std::mutex mutex;
  std::set<Heap*> driven;
  test::RunTogether(4, [&](unsigned) {
    for (int i = 0; i < 300; ++i) {
      Heap* const heap = heap_pool::Acquire();
      {
        std::lock_guard hold(mutex);
        ASSERT_TRUE(driven.insert(heap).second);
      }
      {
        std::lock_guard hold(mutex);
        driven.erase(heap);
      }
      heap_pool::Release(heap);
    }
  });
}

TEST_F(HeapPoolTest, AChildPoolsTheHeapsOfThreadsThatAreGone) {
  Heap* const survivor = heap_pool::Acquire();
  Heap* const quiet = AcquireInThread();
  Heap* const busy = AcquireInThread();
  busy->busy = true;
  quiet->free(3).filled = busy->free(3).filled = 12345;
  survivor->free(3).filled = 54321;
  static std::vector<Heap*> repaired;
  heap_pool::AbandonOthersInChild(survivor, [](Heap& heap) { repaired.push_back(&heap); });
  EXPECT_EQ(std::count(repaired.begin(), repaired.end(), survivor), 1);
  EXPECT_EQ(std::count(repaired.begin(), repaired.end(), quiet), 1);
  EXPECT_EQ(std::count(repaired.begin(), repaired.end(), busy), 0) << "in the middle of something";
  EXPECT_EQ(survivor->state.Get(), HeapState::kDriven);
  EXPECT_EQ(survivor->free(3).filled, 54321u);
  EXPECT_EQ(quiet->state.Get(), HeapState::kPooled);
  EXPECT_EQ(quiet->free(3).filled, 0u) << "nobody's: a thread with the same thread pointer may come";
  EXPECT_EQ(busy->state.Get(), HeapState::kOrphaned);
  EXPECT_EQ(busy->free(3).filled, 0u);
  EXPECT_FALSE(heap_pool::AcquirePooled(busy));
  EXPECT_EQ(heap_pool::Acquire(), quiet);
  survivor->free(3).filled = 0;
  heap_pool::Release(survivor);
  heap_pool::Release(quiet);
}

// A signal handler forks, while its thread works on heaps that are not, or not yet, its own.
TEST_F(HeapPoolTest, AChildLeavesAloneWhatItsThreadIsInTheMiddleOf) {
  Heap* const own = heap_pool::Acquire();
  EXPECT_FALSE(heap_pool::IsAtWork(own));
  EXPECT_TRUE(heap_pool::IsAtWork(nullptr)) << "about to become its own";
  own->busy = true;
  EXPECT_TRUE(heap_pool::IsAtWork(own));
  Heap* const other = heap_pool::Acquire();
  Heap* const gone = AcquireInThread();
  other->free(3).filled = 54321;
  static std::vector<Heap*> repaired;
  heap_pool::AbandonOthersInChild(own, [](Heap& heap) { repaired.push_back(&heap); });
  EXPECT_EQ(std::count(repaired.begin(), repaired.end(), own), 0) << "its slow path goes on";
  EXPECT_EQ(std::count(repaired.begin(), repaired.end(), other), 0);
  EXPECT_EQ(std::count(repaired.begin(), repaired.end(), gone), 1);
  EXPECT_EQ(other->state.Get(), HeapState::kDriven);
  EXPECT_EQ(other->free(3).filled, 54321u);
  EXPECT_EQ(heap_pool::DrivenHeaps(), 2u);
  own->busy = false;
  EXPECT_TRUE(heap_pool::IsAtWork(own));
  other->free(3).filled = 0;
  heap_pool::Release(other);
  EXPECT_FALSE(heap_pool::IsAtWork(own));
  heap_pool::Release(own);
}

// The child's thread holds a lock, so nothing may be done that takes one.
TEST_F(HeapPoolTest, AChildThatMustNotTakeLocksPoolsNothing) HAK_NO_THREAD_SAFETY_ANALYSIS {
  Heap* const own = heap_pool::Acquire();
  Heap* const pooled = heap_pool::Acquire();
  Heap* const gone = AcquireInThread();
  heap_pool::Release(pooled);
  gone->free(3).filled = 12345;
  heap_pool::PoolLock().Acquire();
  pooled->driven_by.store(ThreadPointer());  // as in Acquire, a moment before its state tells
  heap_pool::AbandonOthersInChild(own, nullptr);
  EXPECT_EQ(pooled->driven_by.load(), ThreadPointer()) << "else the next fork would take it away";
  heap_pool::PoolLock().Release();
  EXPECT_EQ(own->state.Get(), HeapState::kDriven);
  EXPECT_EQ(gone->state.Get(), HeapState::kOrphaned);
  EXPECT_EQ(gone->driven_by.load(), 0u) << "a thread with the same thread pointer may come";
  EXPECT_EQ(gone->free(3).filled, 0u);
  EXPECT_EQ(heap_pool::Acquire(), pooled);
  heap_pool::Release(pooled);
  heap_pool::Release(own);
}

TEST_F(HeapPoolTest, TheWarmHeapComesFirst) {
  Heap* const heap = heap_pool::Acquire();
  Heap* const other = heap_pool::Acquire();
  EXPECT_FALSE(heap_pool::HasWarm());
  ASSERT_TRUE(heap_pool::ReleaseWarm(heap, 2));
  EXPECT_TRUE(heap_pool::HasWarm());
  EXPECT_FALSE(heap_pool::ReleaseWarm(other, 2)) << "one is enough";
  EXPECT_EQ(other->state.Get(), HeapState::kDriven);
  heap_pool::Release(other);
  EXPECT_EQ(heap_pool::Acquire(), heap);
  EXPECT_FALSE(heap_pool::HasWarm());
  ASSERT_TRUE(heap_pool::ReleaseWarm(heap, 2));
  EXPECT_TRUE(heap_pool::AcquirePooled(heap));
  EXPECT_FALSE(heap_pool::AcquirePooled(heap));
  EXPECT_FALSE(heap_pool::HasWarm());
  EXPECT_EQ(heap_pool::Acquire(), other) << "the others are still there";
  heap_pool::Release(other);
  heap_pool::Release(heap);
}

// Who inherits much and needs little keeps it: it is bounded over all threads that live.
TEST_F(HeapPoolTest, ThreadsInheritSoMuchAndNoMore) {
  constexpr size_t kHalf = heap_pool::kMostInherited / 2;
  const auto inherit = [](size_t slots) {
    Heap* const heap = heap_pool::Acquire();
    if (!heap_pool::ReleaseWarm(heap, slots)) {
      heap_pool::Release(heap);
      return static_cast<Heap*>(nullptr);
    }
    EXPECT_EQ(heap_pool::Acquire(), heap);
    return heap;
  };
  Heap* const first = inherit(kHalf);
  Heap* second = nullptr;
  test::RunInThread([&] { second = inherit(kHalf); });
  ASSERT_TRUE(first != nullptr && second != nullptr);
  EXPECT_EQ(inherit(1), nullptr);
  // Who passes it on counts once.
  ASSERT_TRUE(heap_pool::ReleaseWarm(second, kHalf));
  EXPECT_EQ(AcquireInThread(), second);
  EXPECT_EQ(inherit(1), nullptr);
  heap_pool::Release(first);
  Heap* const third = inherit(kHalf);
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(inherit(1), nullptr);
  // Nor does a child, which has one of them, go without for ever, although another one is an orphan there.
  second->busy = true;
  heap_pool::AbandonOthersInChild(third, [](Heap&) {});
  Heap* const fourth = inherit(kHalf);
  ASSERT_NE(fourth, nullptr);
  EXPECT_EQ(inherit(1), nullptr);
  heap_pool::Release(third);
  heap_pool::Release(fourth);
}

TEST_F(HeapPoolTest, WhoBorrowsLeavesTheWarmHeapAlone) {
  Heap* const warm = heap_pool::Acquire();
  std::vector<Heap*> others;
  while (others.size() < 20) others.push_back(heap_pool::Acquire());
  ASSERT_TRUE(heap_pool::ReleaseWarm(warm, 2));
  Heap* const made = heap_pool::Borrow();
  EXPECT_NE(made, warm);
  heap_pool::Release(made);
  EXPECT_EQ(heap_pool::Borrow(), made);
  heap_pool::Release(made);
  for (Heap* heap : others) heap_pool::Release(heap);
  ASSERT_TRUE(heap_pool::AcquirePooled(warm));
  heap_pool::Release(warm);
}

TEST_F(HeapPoolTest, AChildHasTheWarmHeap) {
  Heap* const survivor = heap_pool::Acquire();
  Heap* const warm = heap_pool::Acquire();
  warm->free(3).filled = 123;
  ASSERT_TRUE(heap_pool::ReleaseWarm(warm, 2));
  static std::vector<Heap*> repaired;
  heap_pool::AbandonOthersInChild(survivor, [](Heap& heap) { repaired.push_back(&heap); });
  EXPECT_EQ(std::count(repaired.begin(), repaired.end(), warm), 1);
  EXPECT_EQ(warm->state.Get(), HeapState::kWarm);
  EXPECT_EQ(warm->free(3).filled, 0u);
  EXPECT_EQ(heap_pool::Acquire(), warm);
  heap_pool::Release(warm);
  heap_pool::Release(survivor);
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST_F(HeapPoolTest, WhatWasTakenBeforeMemoryRanOutIsNotLost) {
  const auto last_id = [] {
    HeapId last = kNoHeap;
    heap_pool::ForEach(
        [](Heap& heap, void* id) { *static_cast<HeapId*>(id) = std::max(*static_cast<HeapId*>(id), heap.who.id); },
        &last);
    return last;
  };
  std::vector<Heap*> heaps;
  uint64_t metadata = 0;
  {
    test::FailingCalls failing(os::Call::kMap, ENOMEM);
    while (Heap* heap = heap_pool::Acquire()) heaps.push_back(heap);
    // Many more attempts use up nothing of what is left.
    while (gate::AllocateMetadata(64, 64) != nullptr) {
    }
    for (int i = 0; i < 200; ++i) EXPECT_EQ(heap_pool::Acquire(), nullptr);
  }
  const HeapId last = last_id();
  // One chunk has room for heaps that were begun; each gets the next id.
  metadata = gate::GetAccount().metadata;
  for (HeapId i = 1; i <= 8; ++i) {
    Heap* const heap = heap_pool::Acquire();
    ASSERT_NE(heap, nullptr);
    EXPECT_EQ(heap->who.id, last + i);
    heaps.push_back(heap);
  }
  EXPECT_LE(gate::GetAccount().metadata - metadata, size_t{256} << 10);
  for (Heap* heap : heaps) heap_pool::Release(heap);
}
#endif

}  // namespace
}  // namespace hakmem::tiny
