// The outbox: blocks freed by this heap into slabs of others, gathered by slab and pushed with one atomic operation.
#ifndef HAKMEM_TINY_OUTBOX_H_
#define HAKMEM_TINY_OUTBOX_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/compiler.h"
#include "hakmem/tiny/heap.h"
#include "hakmem/tiny/thread_heap.h"

namespace hakmem::tiny {

// The most bytes that wait in all.
inline constexpr size_t kMostOutboxBytes = size_t{128} << 10;

// Adds a block of a slab that this heap does not own. What waits is bounded by number and bytes.
void AddToOutbox(Heap& heap, Slab& slab, Block* block);

// The number of the 64 KiB that `p` lies in; never 0, which stands for none.
HAK_ALWAYS_INLINE uintptr_t OutboxPiece(const void* p) { return (reinterpret_cast<uintptr_t>(p) >> kSlabShift) + 1; }

// The place in the index that slabs at this piece share with few others.
HAK_ALWAYS_INLINE uint8_t& OutboxIndexFor(HeapRest& rest, uintptr_t piece) {
  return rest.outbox_index[(piece ^ (piece >> 8)) % HeapRest::kOutboxIndex];
}

// Who frees neighbours in the order in which they lie will probably free the next one soon, which was not used for
// long, or by another thread: its first line is fetched. Of lists that share a class a neighbour may be the block after
// the next.
HAK_ALWAYS_INLINE void FetchNeighbour(const Block* block, const Block* before, size_t size) {
  const ptrdiff_t step = reinterpret_cast<const char*>(block) - reinterpret_cast<const char*>(before);
  if (static_cast<size_t>(step) + 2 * size <= 4 * size) {
    __builtin_prefetch(reinterpret_cast<const char*>(block) + step);
  }
}

// Adds a block to an entry that holds others.
HAK_ALWAYS_INLINE void AddToEntry(HeapRest& rest, OutboxEntry& entry, Block* block) {
  Block* const before = entry.chain.first;
  FetchNeighbour(block, before, entry.row->block_size);
  SetNext(block, before);
  entry.chain.first = block;
  ++entry.chain.count;
  rest.outbox_bytes += entry.row->block_size;
}

// Whether the entry, to which a block was added, or the whole has become too much. SendSurplus sends it.
HAK_ALWAYS_INLINE bool IsSurplus(const HeapRest& rest, const OutboxEntry& entry) {
  return HAK_UNLIKELY(entry.chain.count >= entry.most) || HAK_UNLIKELY(rest.outbox_bytes >= kMostOutboxBytes);
}
void SendSurplus(Heap& heap, OutboxEntry& entry);

// As AddToOutbox for whatever lies at `p` when a block of the same slab waits already, which tells all that has to be
// known; the lists of the slab's owner are not looked at. False, and nothing happens, when there is none, when `p` is
// no block, or was freed last, and for threads with a stand-in.
[[nodiscard]] HAK_ALWAYS_INLINE bool AddAgainToOutbox(void* p) {
  Heap* heap = tls_heap;
  HeapRest* rest = heap->rest;
  if (HAK_UNLIKELY(rest == nullptr)) return false;
  const uintptr_t piece = OutboxPiece(p);
  OutboxEntry& entry = rest->outbox[OutboxIndexFor(*rest, piece)];
  // The block that waits keeps the slab from ending, so it is still the slab that it was.
  Block* block = static_cast<Block*>(p);
  if (entry.piece != piece || HAK_UNLIKELY(entry.chain.first == block)) return false;
  if (HAK_UNLIKELY(!entry.row->IsBlockAt(reinterpret_cast<uintptr_t>(p) % kSlabSize))) return false;
  const bool was_busy = heap->busy;
  SetBusy(*heap, true);
  heap->counters.remote_frees.Add(1);
  AddToEntry(*rest, entry, block);
  SetBusy(*heap, was_busy);
  if (IsSurplus(*rest, entry)) SendSurplus(*heap, entry);
  return true;
}

// Whether blocks of the slab wait.
[[nodiscard]] bool WaitsInOutbox(const Heap& heap, const Slab& slab);

// Pushes a chain of a slab on behalf of a thread that could not get a heap: nothing is claimed, but a slab that nobody
// owns is made known to those who look for blocks.
void PushWithoutHeap(Slab& slab, const Chain& chain);

// Pushes a small part of what waits, in turn; called at each refill, so that nothing waits for long and no call takes
// long.
void FlushSomeOfOutbox(Heap& heap);

// Pushes everything that waits.
void FlushOutbox(Heap& heap);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_OUTBOX_H_
