#include "hakmem/tiny/thread_heap.h"

#include <pthread.h>

#include <cstddef>
#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/diag/crash_handler.h"
#include "hakmem/diag/log.h"
#include "hakmem/diag/ring.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/lists.h"
#include "hakmem/tiny/outbox.h"
#include "hakmem/tiny/refill.h"

namespace hakmem {
namespace {

constinit const StandIn not_started = {};
constinit const StandIn finished = {};

}  // namespace

// Never written: slow paths compare the pointer before they treat it as a heap.
Heap* NotStartedHeap() { return const_cast<Heap*>(reinterpret_cast<const Heap*>(&not_started)); }
Heap* FinishedHeap() { return const_cast<Heap*>(reinterpret_cast<const Heap*>(&finished)); }

__thread Heap* tls_heap __attribute__((tls_model("initial-exec"))) =
    const_cast<Heap*>(reinterpret_cast<const Heap*>(&not_started));

constinit const Watcher* g_watcher = nullptr;

namespace tiny {
namespace {

pthread_key_t exit_key;
constinit bool has_exit_key = false;

// glibc calls the destructors of pthread keys up to four times while values are set. The heap ends in the third round,
// so that destructors of other keys, in whatever order, still find it.
constexpr uint8_t kExitRounds = 2;

// Gives back what the heap holds, and gives up or retires its slabs.
void Empty(Heap& heap) {
  GiveBackLists(heap);
  FlushOutbox(heap);
  // Last: the outbox may have held blocks of a slab that has become the heap's own since.
  ReadInbox(heap);
  if (g_options.tiny_ss_adopt == 0) return;  // the next driver of this heap inherits its slabs
  // What cannot be given up now is placed anew, and so its class is in use again.
  const ClassSet used = heap.used;
  heap.used.SetAll(false);
  ForEachOwned(heap, used, [&](OwnedSlab owned) {
    Slab& slab = owned.slab();
    Unplace(heap, owned);
    if (owned.IsHome() && owned.Retire()) {
      pool::Release(heap.pool_cache, slab);
    } else {
      ReleaseOrPlace(heap, std::move(owned));
    }
  });
  for (Slab*& entry : heap.rest->sticky) entry = nullptr;
  heap.grown.SetAll(false);
  heap.lent.SetAll(false);
}

// Slots of slabs that a heap may keep for the next thread: what others free there meanwhile waits for it.
constexpr size_t kMostWarmSlots = 32;

// The counts of the lists, while nobody drives the heap, in values that are far from any thread pointer; and back.
void ParkLists(Heap& heap) {
  heap.ForEachFreeList([thread = ThreadPointer()](FreeList& list) {
    if (list.filled != 0) __atomic_store_n(&list.filled, list.filled - thread, __ATOMIC_RELAXED);  // others: not yours
  });
}
void UnparkLists(Heap& heap) {
  heap.ForEachFreeList([thread = ThreadPointer()](FreeList& list) {
    if (list.filled != 0) __atomic_store_n(&list.filled, list.filled + thread, __ATOMIC_RELAXED);  // as above
  });
}

void StartDriving(Heap& heap) {
  heap.exit_rounds = 0;
  for (uint8_t& activity : heap.activity) activity = Heap::kRecent;  // a new driver's lists get a round
  heap.pinned.SetAll(false);
  heap.ordered.SetAll(false);  // the lists below have all of their room, or, of a warm heap, are soon set aside
  const uint32_t heaps = heap_pool::DrivenHeaps();
  heap.to_visit[0].SetAll(heaps >= kManyHeaps);
  heap.to_visit[1].SetAll(heaps >= kManyHeaps);
  heap.to_visit[2].SetAll(heaps >= kVeryManyHeaps);
  // The wide classes' lists are set up when a block is first freed to them: their page may stay untouched.
  if (heap.warm_slots != 0) UnparkLists(heap);
  for (unsigned c = 0; c <= kSteppedClasses; ++c) {
    uintptr_t& filled = heap.free_steps[c].filled;
    if (filled != 0) continue;
    // Blocks that an earlier driver left (in a process that has forked) are counted as none: the list gets longer once.
    const uintptr_t start = ThreadPointer() + kMaxListLength - ListCapacity(c);
    __atomic_store_n(&filled, start, __ATOMIC_RELAXED);  // read by others, to whom it says: not yours
  }
}

void StopDriving(Heap& heap) {
  heap.ForEachFreeList([](FreeList& list) {
    if (list.filled != 0) __atomic_store_n(&list.filled, uintptr_t{0}, __ATOMIC_RELAXED);  // as above
  });
}

// Leaves a heap that has little to the next thread as it is: most of what a short thread costs is slabs that it takes
// and gives up. Whether it did.
bool StayWarm(Heap& heap) {
  if (g_options.tiny_ss_adopt == 0 || heap_pool::HasWarm()) return false;
  // As with all memory that lies idle.
  if (g_options.memory_limit != 0 || g_options.purge_delay_ms == 0) return false;
  if (g_options.idle_keep < kMostWarmSlots * kSlabSize) return false;
  FlushOutbox(heap);
  ReadInbox(heap);
  const size_t slots = CountSlots(heap, kMostWarmSlots);
  if (slots == 0 || slots > kMostWarmSlots) return false;
  // What the program has done wrong is reported now, not when it hits another thread.
  if (!AreListsSound(heap)) return false;
  heap.grown.SetAll(false);  // the next thread may have few blocks
  ParkLists(heap);
  SetBusy(heap, false);
  if (heap_pool::ReleaseWarm(&heap, slots)) return true;
  SetBusy(heap, true);
  UnparkLists(heap);
  return false;
}

// Puts a heap into the pool. A push that came too late for Empty, and too early to see the heap pooled, is read here.
void PutIntoPool(Heap* heap) {
  heap_pool::Release(heap);
  if (!heap->inbox.IsEmpty()) TidyPooled(heap);
}

void EndThread(void* value) {
  Heap* heap = static_cast<Heap*>(value);
  if (heap->exit_rounds < kExitRounds) {
    ++heap->exit_rounds;
    pthread_setspecific(exit_key, heap);
    return;
  }
  auto* stand_in = tls_heap != heap ? reinterpret_cast<StandIn*>(tls_heap) : nullptr;
  tls_heap = FinishedHeap();
  SetBusy(*heap, true);
  if (!StayWarm(*heap)) {
    Empty(*heap);
    StopDriving(*heap);
    SetBusy(*heap, false);
    PutIntoPool(heap);
  }
  HAK_LOG(kInfo, "thread ends, heap ", heap->who.id, " is free");
  ring::EndThread();
  if (stand_in != nullptr) g_watcher->end(*stand_in);
  crash_handler::EndThread();
}

Heap* StartThread() {
  Heap* heap = heap_pool::Acquire();
  if (heap == nullptr) return nullptr;
  StartDriving(*heap);
  StandIn* stand_in = g_watcher != nullptr ? g_watcher->start(*heap) : nullptr;
  tls_heap = stand_in != nullptr ? reinterpret_cast<Heap*>(stand_in) : heap;
  crash_handler::StartThread();
  HAK_LOG(kInfo, "thread drives heap ", heap->who.id);
  // May allocate (glibc: for keys beyond the first 32), which works from here on.
  if (has_exit_key) pthread_setspecific(exit_key, heap);
  return heap;
}

}  // namespace

HeapScope::HeapScope() : heap_(DrivenHeap()) {
  if (HAK_UNLIKELY(heap_ == NotStartedHeap())) {
    heap_ = StartThread();
  } else if (HAK_UNLIKELY(heap_ == FinishedHeap())) {
    heap_ = heap_pool::Borrow();
    borrowed_ = true;
  }
  if (heap_ == nullptr) return;
  was_busy_ = heap_->busy;
  SetBusy(*heap_, true);
}

HeapScope::~HeapScope() {
  if (heap_ == nullptr) return;
  if (HAK_UNLIKELY(borrowed_)) {
    Empty(*heap_);
    StopDriving(*heap_);
  }
  SetBusy(*heap_, was_busy_);
  if (HAK_UNLIKELY(borrowed_)) {
    PutIntoPool(heap_);
    ring::EndThread();
  }
}

void PrepareThreadExit() { has_exit_key = pthread_key_create(&exit_key, EndThread) == 0; }

namespace {

// Empties a heap that nobody drives; false when somebody does. `*others` becomes true when its blocks went to pooled
// heaps, which then have to be tidied, too.
bool Tidy(Heap& heap, bool* others) {
  if (!heap_pool::AcquirePooled(&heap)) return false;
  SetBusy(heap, true);
  heap.tidied = true;
  heap.left_others = false;
  Empty(heap);
  StopDriving(heap);
  heap.tidied = false;
  *others |= heap.left_others;
  SetBusy(heap, false);
  heap_pool::Release(&heap);
  return true;
}

// Reads the inbox of a pooled heap. Again while pushes come in between: each round reads the inbox whole.
void ReadPooled(Heap& heap, bool* others) {
  while (!heap.inbox.IsEmpty() && heap.state.IsPooled() && Tidy(heap, others)) {
  }
}

void TidyOthers(bool others) {
  while (others) {
    others = false;
    heap_pool::ForEach([](Heap& heap, void* context) { ReadPooled(heap, static_cast<bool*>(context)); }, &others);
  }
}

}  // namespace

void TidyPooled(Heap* heap) {
  bool others = false;
  ReadPooled(*heap, &others);
  TidyOthers(others);
}

void TidyAllPooled() {
  bool others = false;
  heap_pool::ForEach(
      [](Heap& heap, void* context) {
        bool* const left = static_cast<bool*>(context);
        if (Tidy(heap, left)) ReadPooled(heap, left);
      },
      &others);
  TidyOthers(others);
}

void RepairAfterFork(Heap& heap) {
  // A notifier that is gone may have set a notified bit without linking the slab: every notified slab counts as seen,
  // linked or not.
  heap.inbox.Forget();
  ForEachOwned(heap, heap.used, [&](OwnedSlab owned) {
    if (owned.slab().PeekRemote().notified) owned.Acknowledge();
    Settle(heap, std::move(owned));
  });
}

}  // namespace tiny
}  // namespace hakmem
