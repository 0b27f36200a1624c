// Refill: where blocks come from when a heap's lists are empty.
//
// Sources are asked in this order; each only names a candidate:
//
//     the bound slab, own inbox, sticky ring, hot slot, bench slot, mailbox, mmap gate's scan, shared pool
//
// One function does what follows, for all of them: claim; if that fails, next candidate; drain; if blocks are there,
// bind and return; otherwise give the slab up again. No source has a way to do it differently.
#ifndef HAKMEM_TINY_REFILL_H_
#define HAKMEM_TINY_REFILL_H_

#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// A block of `size_class`; the heap's list is filled on the way when the class has one. nullptr without memory.
[[nodiscard]] Block* Refill(Heap& heap, unsigned size_class, bool* clean);

// A block of a class without lists that was freed into the bound slab; nullptr when there is none.
Block* TakeFromBound(Heap& heap, unsigned size_class);

// Looks through the slabs that others put into the inbox.
void ReadInbox(Heap& heap);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_REFILL_H_
