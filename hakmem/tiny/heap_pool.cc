#include "hakmem/tiny/heap_pool.h"

#include "hakmem/diag/check.h"
#include "hakmem/diag/ring.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/platform/store_if_other.h"

namespace hakmem::heap_pool {
namespace {

constexpr HeapId kChunk = 4096;
struct Chunk {
  std::atomic<Heap*> heaps[kChunk];
};

constinit Lock lock{LockRank::kHeapPool};
constinit std::atomic<Chunk*> chunks[(kMaxHeapId + 1) / kChunk + 1] = {};
constinit std::atomic<HeapId> last_id{kNoHeap};
constinit std::atomic<uint32_t> driven{0};
// Heaps that nobody drives, the last one put back first.
constinit Heap* pooled HAK_GUARDED_BY(lock) = nullptr;
// The one that has its slabs and lists still; nullptr: none has. Changes under the lock, and is looked at without.
constinit std::atomic<Heap*> warm{nullptr};
// What the heaps in use that were warm had then.
constinit size_t inherited HAK_GUARDED_BY(lock) = 0;
// Memory for heaps that were not made yet.
constinit Heap* unmade HAK_GUARDED_BY(lock) = nullptr;
constinit Heap* unmade_end HAK_GUARDED_BY(lock) = nullptr;
// Heaps whose making failed for want of memory, with what they have got so far.
constinit Heap* half_made HAK_GUARDED_BY(lock) = nullptr;

// With the lock, or for a heap that nobody else knows. It is counted afterwards, so that the count of a child that is
// forked in between is too high rather than too low.
void StartDriver(Heap* heap) {
  heap->who.driver.Start();
  heap->driven_by.store(ThreadPointer(), std::memory_order_relaxed);  // a name, orders nothing
  heap->state.Set(HeapState::kDriven);
}
void CountDriver() { driven.fetch_add(1, std::memory_order_relaxed); }  // a number, orders nothing

void StopDriver(Heap* heap) HAK_REQUIRES(lock) {
  inherited -= heap->warm_slots;
  heap->warm_slots = 0;
  heap->who.driver.Stop();
  driven.fetch_sub(1, std::memory_order_relaxed);       // a number, orders nothing
  std::atomic_signal_fence(std::memory_order_seq_cst);  // counted before, for a handler that forks: see StartDriver
  heap->driven_by.store(0, std::memory_order_relaxed);  // as above
  for (ClassSet& set : heap->to_visit) set.SetAll(false);
}

void Link(Heap* heap) HAK_REQUIRES(lock) {
  heap->pool_prev = nullptr;
  heap->pool_next = pooled;
  if (pooled != nullptr) pooled->pool_prev = heap;
  pooled = heap;
  StopDriver(heap);
  heap->state.SetPooled();
}

void Unlink(Heap* heap) HAK_REQUIRES(lock) {
  if (heap->state.Get() == HeapState::kWarm) {
    warm.store(nullptr, std::memory_order_relaxed);  // the lock orders
    inherited += heap->warm_slots;
  } else {
    (heap->pool_prev != nullptr ? heap->pool_prev->pool_next : pooled) = heap->pool_next;
    if (heap->pool_next != nullptr) heap->pool_next->pool_prev = heap->pool_prev;
  }
  StartDriver(heap);
  CountDriver();
}

std::atomic<Heap*>* EntryOf(HeapId id, bool make) {
  std::atomic<Chunk*>& slot = chunks[id / kChunk];
  Chunk* chunk = slot.load(std::memory_order_acquire);  // acquire: the chunk is zero when it can be found
  if (chunk == nullptr) {
    if (!make) return nullptr;
    Chunk* fresh = static_cast<Chunk*>(gate::AllocateMetadata(sizeof(Chunk), 64));
    if (fresh == nullptr) return nullptr;
    // As in the load; a second chunk that lost the race was never touched.
    if (slot.compare_exchange_strong(chunk, fresh, std::memory_order_acq_rel, std::memory_order_acquire)) chunk = fresh;
  }
  return &chunk->heaps[id % kChunk];
}

// The tag of a free list; none when it does not lie where tags reach.
uint32_t TagOf(const FreeList* list) {
  // While somebody wants to see every call no hit path is to find the heap's blocks.
  if (!HasWindow() || ring::On() || g_watcher != nullptr) return 0;
  const size_t distance = WindowOffset(list) / 8;
  return distance <= UINT32_MAX - kTagStep * kListedClasses ? static_cast<uint32_t>(distance) : 0;
}

// Memory for a heap, next to that of the heaps before.
Heap* AllocateHeap() {
  constexpr size_t kAtOnce = 32;
  {
    LockHolder hold(lock);
    if (Heap* heap = half_made; heap != nullptr) {
      half_made = heap->pool_next;
      return heap;
    }
    if (unmade != unmade_end) return unmade++;
  }
  Heap* heaps = static_cast<Heap*>(gate::AllocateMetadata(kAtOnce * sizeof(Heap), alignof(Heap)));
  if (heaps == nullptr) return nullptr;
  LockHolder hold(lock);
  // Should another thread have come first, its rest stays unused: it was never touched.
  unmade = heaps + 1;
  unmade_end = heaps + kAtOnce;
  return heaps;
}

// The next id, with an entry for it; kNoHeap without memory.
HeapId TakeId() {
  HeapId last = last_id.load(std::memory_order_relaxed);  // a number; the entry's store publishes the heap
  do {
    // The entry first: an id that was taken is not given back.
    if (last == kMaxHeapId || EntryOf(last + 1, true) == nullptr) return kNoHeap;
  } while (!last_id.compare_exchange_weak(last, last + 1, std::memory_order_relaxed));  // as above
  return last + 1;
}

Heap* Make() {
  Heap* heap = AllocateHeap();
  if (heap == nullptr) return nullptr;
  // On pages of its own, which most threads hardly touch.
  if (heap->rest == nullptr) heap->rest = static_cast<HeapRest*>(gate::AllocateMetadata(sizeof(HeapRest), 4096));
  const HeapId id = heap->rest == nullptr ? kNoHeap : TakeId();
  if (id == kNoHeap) {
    LockHolder hold(lock);
    heap->pool_next = half_made;
    half_made = heap;
    return nullptr;
  }
  std::atomic<Heap*>* entry = EntryOf(id, false);
  uint32_t step_tag = TagOf(&heap->free_steps[0]);
  const uint32_t wide_tag = TagOf(&heap->rest->free[0]);
  if (wide_tag == 0) step_tag = 0;
  heap->who = {id, step_tag, wide_tag};
  StartDriver(heap);
  entry->store(heap, std::memory_order_release);  // publishes the heap as set up
  CountDriver();
  return heap;
}

}  // namespace

Heap* Acquire() {
  {
    LockHolder hold(lock);
    Heap* heap = warm.load(std::memory_order_relaxed);  // the lock orders
    if (heap == nullptr) heap = pooled;
    if (heap != nullptr) {
      Unlink(heap);
      return heap;
    }
  }
  return Make();
}

Heap* Borrow() {
  {
    LockHolder hold(lock);
    if (Heap* heap = pooled; heap != nullptr) {
      Unlink(heap);
      return heap;
    }
  }
  Heap* heap = Make();
  return heap != nullptr ? heap : Acquire();
}

uint32_t DrivenHeaps() { return driven.load(std::memory_order_relaxed); }  // a number, orders nothing

void Release(Heap* heap) {
  LockHolder hold(lock);
  Link(heap);
}

bool HasWarm() { return warm.load(std::memory_order_relaxed) != nullptr; }  // a look: ReleaseWarm decides

bool ReleaseWarm(Heap* heap, size_t slots) {
  LockHolder hold(lock);
  if (HasWarm() || inherited - heap->warm_slots + slots > kMostInherited) return false;
  warm.store(heap, std::memory_order_relaxed);  // the lock orders
  StopDriver(heap);
  heap->warm_slots = slots;
  heap->state.Set(HeapState::kWarm);
  return true;
}

bool AcquirePooled(Heap* heap) {
  LockHolder hold(lock);
  const HeapState state = heap->state.Get();
  if (state != HeapState::kPooled && state != HeapState::kWarm) return false;
  Unlink(heap);
  return true;
}

Heap* ById(HeapId id) {
  std::atomic<Heap*>* entry = EntryOf(id, false);
  HAK_ASSERT(entry != nullptr);
  return entry->load(std::memory_order_acquire);  // acquire: sees the heap set up
}

void ForEach(Visitor visit, void* context) {
  const HeapId last = last_id.load(std::memory_order_relaxed);  // heaps that come meanwhile may be missed
  for (HeapId id = 1; id <= last; ++id) {
    std::atomic<Heap*>* entry = EntryOf(id, false);
    if (entry == nullptr) continue;
    Heap* heap = entry->load(std::memory_order_acquire);  // acquire: sees the heap set up
    if (heap != nullptr) visit(*heap, context);
  }
}

namespace {

bool IsDrivenByCaller(const Heap& heap) {
  const uintptr_t driver = heap.driven_by.load(std::memory_order_relaxed);  // a child has one thread
  return heap.state.Get() == HeapState::kDriven && driver == ThreadPointer();
}

// A heap of a thread that is gone, or of nobody.
void Abandon(Heap& heap, void (*repair)(Heap& heap)) {
  const HeapState state = heap.state.Get();
  if (state == HeapState::kOrphaned) return;
  // A thread of the child may get the thread pointer of the one that is gone. One that this very thread was about to
  // drive, when a handler forked, it goes on to drive. (Only what is set: the child copies each page that it writes.)
  const uintptr_t driver = heap.driven_by.load(std::memory_order_relaxed);  // the child has one thread
  if (driver != ThreadPointer()) StoreIfOther(heap.driven_by, uintptr_t{0});
  heap.ForEachFreeList([](FreeList& list) {
    if (list.filled != 0) list.filled = 0;
  });
  if (heap.busy || (repair == nullptr && state == HeapState::kDriven)) {
    heap.state.Set(HeapState::kOrphaned);
    return;
  }
  if (repair == nullptr) return;
  heap.who.driver.Start();
  repair(heap);
  if (state == HeapState::kDriven) {
    Release(&heap);
  } else {
    heap.who.driver.Stop();
  }
}

}  // namespace

bool IsAtWork(const Heap* own) {
  struct Context {
    const Heap* own;
    bool at_work;
  } context = {own, false};
  ForEach(
      [](Heap& heap, void* opaque) {
        Context& c = *static_cast<Context*>(opaque);
        if (IsDrivenByCaller(heap) && (heap.busy || &heap != c.own)) c.at_work = true;
      },
      &context);
  return context.at_work;
}

void AbandonOthersInChild(Heap* own, void (*repair)(Heap& heap)) {
  struct Context {
    Heap* own;
    void (*repair)(Heap& heap);
    uint32_t driven;
    size_t inherited;
  } context = {own, repair, 0, 0};
  ForEach(
      [](Heap& heap, void* opaque) {
        Context& c = *static_cast<Context*>(opaque);
        if (!IsDrivenByCaller(heap)) return Abandon(heap, c.repair);
        ++c.driven;
        c.inherited += heap.warm_slots;
        if (&heap == c.own && !heap.busy && c.repair != nullptr) c.repair(heap);
      },
      &context);
  StoreIfOther(driven, context.driven);
  if (repair == nullptr) return;
  LockHolder hold(lock);
  if (inherited != context.inherited) inherited = context.inherited;  // what orphans have is nobody's
}

Lock& PoolLock() { return lock; }

}  // namespace hakmem::heap_pool
