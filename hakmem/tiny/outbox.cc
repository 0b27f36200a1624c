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

HAK_NOINLINE void PushEntry(Heap& heap, unsigned index) {
  OutboxEntry& entry = heap.rest->outbox[index];
  Slab& slab = *entry.slab;
  const Chain chain = entry.chain;
  // As it was added: after a double free the slab may have another class by now.
  heap.rest->outbox_bytes -= chain.count * kSizeClasses[entry.size_class].block_size;
  entry = {};
  heap.rest->outbox_used &= ~(uint64_t{1} << index);
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

uintptr_t PieceOf(const void* p) { return reinterpret_cast<uintptr_t>(p) >> kSlabShift; }
unsigned IndexOf(uintptr_t piece) { return static_cast<unsigned>((piece ^ (piece >> 6)) % HeapRest::kOutboxEntries); }

HAK_ALWAYS_INLINE void AddTo(Heap& heap, OutboxEntry& entry, unsigned index, Block* block) {
  heap.counters.remote_frees.Add(1);
  entry.chain.PushFront(block);
  const size_t size = kSizeClasses[entry.size_class].block_size;
  heap.rest->outbox_bytes += size;
  if (HAK_UNLIKELY(entry.chain.count >= kMostBlocks || entry.chain.count * size >= kMostBytes)) PushEntry(heap, index);
  if (HAK_UNLIKELY(heap.rest->outbox_bytes >= kMostBytesInAll)) FlushOutbox(heap);
}

}  // namespace

void AddToOutbox(Heap& heap, Slab& slab, Block* block) {
  HeapRest& rest = *heap.rest;
  const uintptr_t piece = PieceOf(slab.base());
  const unsigned index = IndexOf(piece);
  OutboxEntry& entry = rest.outbox[index];
  if (entry.slab != &slab) {
    if (entry.slab != nullptr) PushEntry(heap, index);
    entry = {&slab, {}, piece, slab.size_class()};
    rest.outbox_used |= uint64_t{1} << index;
  }
  if (HAK_UNLIKELY(entry.chain.first == block)) {
    ReportFault(Fault::kDoubleFree, "free", block, "it was freed last");
    return;
  }
  AddTo(heap, entry, index, block);
}

bool AddAgainToOutbox(void* p) {
  Heap* heap = DrivenHeap();
  if (HAK_UNLIKELY(heap->rest == nullptr)) return false;
  const uintptr_t piece = PieceOf(p);
  const unsigned index = IndexOf(piece);
  OutboxEntry& entry = heap->rest->outbox[index];
  // The block that waits keeps the slab from ending, so it is still the slab that it was.
  if (entry.piece != piece || entry.chain.first == p) return false;
  const size_t offset = reinterpret_cast<uintptr_t>(p) % kSlabSize;
  const SizeClass& row = kSizeClasses[entry.size_class];
  const uint32_t at = row.IndexOf(offset);
  if (HAK_UNLIKELY(at >= row.capacity || size_t{at} * row.block_size != offset)) return false;
  const bool was_busy = heap->busy;
  SetBusy(*heap, true);
  AddTo(*heap, entry, index, static_cast<Block*>(p));
  SetBusy(*heap, was_busy);
  return true;
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
