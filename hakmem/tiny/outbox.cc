#include "hakmem/tiny/outbox.h"

#include <utility>

#include "hakmem/diag/check.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/thread_heap.h"

namespace hakmem::tiny {
namespace {

// The most blocks, and bytes, that wait for one slab.
constexpr uint32_t kMostBlocks = 64;
constexpr size_t kMostBytes = size_t{16} << 10;

// Puts a slab, whose notified bit the caller has set, into the inbox of its owner.
void Notify(HeapId owner_id, Slab& slab) {
  Heap* owner = heap_pool::ById(owner_id);
  Slab* head = owner->inbox.load(std::memory_order_relaxed);  // a look: the exchange decides
  do {
    slab.inbox_next = head;
    // Release: the link is visible to who takes the inbox. Sequentially consistent with the state's load below: either
    // we see the heap pooled, or who pools it sees this slab.
  } while (!owner->inbox.compare_exchange_weak(head, &slab, std::memory_order_seq_cst, std::memory_order_relaxed));
  if (owner->state.load(std::memory_order_seq_cst) == Heap::State::kPooled) TidyPooled(owner);
}

void PushEntry(Heap& heap, OutboxEntry& entry) {
  Slab& slab = *entry.slab;
  const Chain chain = entry.chain;
  entry = {};
  heap.counters.remote_pushes.Add(1);
  HeapId notify = kNoHeap;
  if (auto owned = OwnedSlab::PushRemote(slab, chain, heap.who, &notify)) {
    heap.counters.adopted.Add(1);
    Settle(heap, std::move(*owned));
  } else if (notify != kNoHeap) {
    heap.counters.notifications.Add(1);
    Notify(notify, slab);
  }
}

}  // namespace

void AddToOutbox(Heap& heap, Slab& slab, Block* block) {
  heap.counters.remote_frees.Add(1);
  const uintptr_t key = reinterpret_cast<uintptr_t>(slab.base()) >> kSlabShift;
  OutboxEntry& entry = heap.rest->outbox[(key ^ (key >> 4)) % HeapRest::kOutboxEntries];
  if (entry.slab != &slab) {
    if (entry.slab != nullptr) PushEntry(heap, entry);
    entry.slab = &slab;
  }
  entry.chain.PushFront(block);
  if (entry.chain.count >= kMostBlocks || entry.chain.count * slab.block_size() >= kMostBytes) PushEntry(heap, entry);
}

void PushWithoutHeap(Slab& slab, const Chain& chain) {
  HeapId notify = kNoHeap;
  // The slab is not claimed: the claimant is nobody.
  if (OwnedSlab::PushRemote(slab, chain, Claimant{kNoHeap, 0, 0}, &notify)) HAK_CHECK(false);
  if (notify != kNoHeap) Notify(notify, slab);
}

void FlushOutbox(Heap& heap) {
  for (OutboxEntry& entry : heap.rest->outbox) {
    if (entry.slab != nullptr) PushEntry(heap, entry);
  }
}

}  // namespace hakmem::tiny
