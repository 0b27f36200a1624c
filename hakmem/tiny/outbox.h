// The outbox: blocks freed by this heap into slabs of others, gathered by slab and pushed with one atomic operation.
#ifndef HAKMEM_TINY_OUTBOX_H_
#define HAKMEM_TINY_OUTBOX_H_

#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// Adds a block of a slab that this heap does not own. What waits is bounded by number and bytes.
void AddToOutbox(Heap& heap, Slab& slab, Block* block);

// The same for whatever lies at `p` when a block of the same slab waits already, which tells all that has to be known;
// the lists of the slab's owner are not looked at. False, and nothing happens, when there is none, when `p` is no
// block, or was freed last.
[[nodiscard]] bool AddAgainToOutbox(void* p);

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
