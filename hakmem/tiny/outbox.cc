#include "hakmem/tiny/outbox.h"

#include <utility>

#include "hakmem/diag/check.h"
#include "hakmem/superslab/slab_event.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/thread_heap.h"

namespace hakmem::tiny {
namespace {

// The most blocks, and bytes, that wait for one slab; and bytes for all of them.
constexpr uint32_t kMostBlocks = 64;
constexpr size_t kMostBytes = size_t{16} << 10;
constexpr size_t kMostBytesInAll = size_t{128} << 10;
static_assert(HeapRest::kOutboxEntries == 64);  // bits of outbox_used

// Puts a slab, whose notified bit the caller has set, into the inbox of its owner.
void Notify(HeapId owner_id, Slab& slab) {
  Heap* owner = heap_pool::ById(owner_id);
  owner->inbox.Put(&slab);
  // Either we see the heap pooled, or who pools it sees this slab.
  if (owner->state.IsPooled()) TidyPooled(owner);
}

void PushEntry(Heap& heap, unsigned index) {
  OutboxEntry& entry = heap.rest->outbox[index];
  Slab& slab = *entry.slab;
  const Chain chain = entry.chain;
  entry = {};
  heap.rest->outbox_used &= ~(uint64_t{1} << index);
  heap.rest->outbox_bytes -= chain.count * slab.block_size();
  heap.counters.remote_pushes.Add(1);
  HeapId notify = kNoHeap;
  if (auto owned = OwnedSlab::PushRemote(slab, chain, heap.who, &notify)) {
    heap.counters.adopted.Add(1);
    ring::Note(ring::Event::kAdopt, slab);
    Settle(heap, std::move(*owned));
  } else if (notify != kNoHeap) {
    heap.counters.notifications.Add(1);
    Notify(notify, slab);
  }
}

}  // namespace

void AddToOutbox(Heap& heap, Slab& slab, Block* block) {
  heap.counters.remote_frees.Add(1);
  HeapRest& rest = *heap.rest;
  const uintptr_t key = reinterpret_cast<uintptr_t>(slab.base()) >> kSlabShift;
  const unsigned index = static_cast<unsigned>((key ^ (key >> 6)) % HeapRest::kOutboxEntries);
  OutboxEntry& entry = rest.outbox[index];
  if (entry.slab != &slab) {
    if (entry.slab != nullptr) PushEntry(heap, index);
    entry.slab = &slab;
    rest.outbox_used |= uint64_t{1} << index;
  }
  if (HAK_UNLIKELY(entry.chain.first == block)) {
    ReportFault(Fault::kDoubleFree, "free", block, "it was freed last");
    return;
  }
  entry.chain.PushFront(block);
  const size_t size = slab.block_size();
  rest.outbox_bytes += size;
  if (entry.chain.count >= kMostBlocks || entry.chain.count * size >= kMostBytes) PushEntry(heap, index);
  if (HAK_UNLIKELY(rest.outbox_bytes >= kMostBytesInAll)) FlushOutbox(heap);
}

void PushWithoutHeap(Slab& slab, const Chain& chain) {
  HeapId notify = kNoHeap;
  // The slab is not claimed: the claimant is nobody.
  if (OwnedSlab::PushRemote(slab, chain, Claimant{kNoHeap, 0, 0}, &notify)) HAK_CHECK(false);
  if (notify != kNoHeap) {
    Notify(notify, slab);
  } else if (slab.owner() == kNoHeap) {
    // Nobody looks after it: else these blocks would wait until somebody comes by.
    Post(slab);
  }
}

void FlushOutbox(Heap& heap) {
  while (heap.rest->outbox_used != 0) PushEntry(heap, static_cast<unsigned>(__builtin_ctzll(heap.rest->outbox_used)));
}

}  // namespace hakmem::tiny
