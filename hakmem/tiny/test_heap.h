// Heaps that a test drives one beside the other, in one thread: what heaps do to each other then has an order.
#ifndef HAKMEM_TINY_TEST_HEAP_H_
#define HAKMEM_TINY_TEST_HEAP_H_

#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/superslab/owned_slab.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/lists.h"
#include "hakmem/tiny/outbox.h"
#include "hakmem/tiny/refill.h"
#include "hakmem/tiny/thread_heap.h"
#include "hakmem/tiny/tiny.h"

namespace hakmem::tiny {

class TestHeap {
 public:
  // Counts from 0: the heap may be one that another test has used.
  TestHeap() : heap_(heap_pool::Acquire()) { new (&heap_->counters) HeapCounters(); }
  ~TestHeap() { End(); }
  TestHeap(const TestHeap&) = delete;
  TestHeap& operator=(const TestHeap&) = delete;

  // As at the end of a thread: the heap goes to the pool and is tidied.
  void End() {
    if (heap_ == nullptr) return;
    heap_pool::Release(heap_);
    heap_ = nullptr;
    TidyAllPooled();
  }

  // As in a forked child at the end of a thread that is gone: the heap goes to the pool as it is.
  Heap* Abandon() {
    heap_pool::Release(heap_);
    return std::exchange(heap_, nullptr);
  }

  Heap& operator*() const { return *heap_; }
  Heap* operator->() const { return heap_; }

  // What the calling thread does while this heap is its own.
  template <class Action>
  auto Drive(Action action) {
    struct Restore {
      Heap* saved = tls_heap;
      ~Restore() { tls_heap = saved; }
    } restore;
    tls_heap = heap_;
    return action();
  }
  Block* Allocate(unsigned c) {
    return Drive([c] {
      bool clean;
      return static_cast<Block*>(tiny::Allocate(c, &clean));
    });
  }
  void Free(Block* block) {
    Drive([block] { tiny::Free(block, *address_map::SlabOf(block)); });
  }
  void Free(const std::vector<Block*>& blocks) {
    for (Block* block : blocks) Free(block);
  }
  Block* Refill(unsigned c) const {
    bool clean;
    return tiny::Refill(*heap_, c, &clean);
  }
  OwnedSlab Own(Slab& slab) const {
    std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap_->who);
    EXPECT_TRUE(owned.has_value());
    return std::move(*owned);
  }

 private:
  Heap* heap_;
};

// A slab all of whose blocks are out.
struct FullSlab {
  Slab* slab;
  std::vector<Block*> out;

  Block* TakeOut() {
    Block* block = out.back();
    out.pop_back();
    return block;
  }
};

class HeapTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!HasWindow()) gate::OpenWindow(true);
  }
  void SetUp() override {
    options_ = g_options;
    g_options.purge_delay_ms = 3600000;
  }
  // What each test leaves behind: no slab in use, and so no block lost.
  void TearDown() override {
    g_options.tiny_ss_adopt = 1;
    TidyAllPooled();
    EXPECT_EQ(pool::GetStatistics().active_slots, 0u);
    g_options = options_;
  }

  static FullSlab MakeFull(TestHeap& heap, unsigned c) {
    std::optional<OwnedSlab> owned = pool::Acquire(heap->pool_cache, heap->who, c);
    EXPECT_TRUE(owned.has_value());
    FullSlab full = {&owned->slab(), {}};
    while (owned->HasUncarved()) {
      bool clean;
      const Chain chain = owned->Carve(1, &clean);
      full.out.push_back(chain.first);
    }
    Place(*heap, *owned);
    return full;
  }
  // Puts a block back into its slab, which the heap owns, and leaves the slab where it is.
  static void PutHome(TestHeap& heap, FullSlab& full) {
    Chain chain;
    chain.PushFront(full.TakeOut());
    heap.Own(*full.slab).Push(chain);
  }
  // What an ended heap leaves: one block free, or not, and all others out.
  static FullSlab Leave(unsigned c, bool with_free) {
    TestHeap ended;
    FullSlab full = MakeFull(ended, c);
    if (with_free) PutHome(ended, full);
    return full;
  }
  // A push by somebody without a heap.
  static void PushFromOutside(FullSlab& full, HeapId* notify) {
    Chain chain;
    chain.PushFront(full.TakeOut());
    EXPECT_FALSE(OwnedSlab::PushRemote(*full.slab, chain, Claimant{kNoHeap, 0, 0}, notify).has_value());
  }
  static size_t Length(const Block* list) {
    size_t n = 0;
    for (; list != nullptr; list = NextOf(list)) ++n;
    return n;
  }

 private:
  Options options_;
};

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_TEST_HEAP_H_
