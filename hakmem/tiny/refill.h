// Refill: where blocks come from when a heap's list is empty, and where they go back to.
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

// Sets the full free list of a class aside, or gives it back to its slabs when enough is set aside.
void SetAside(Heap& heap, unsigned size_class);

// A block out of the thread's other lists for an alloc list that is empty and gets more of them: the free list of its
// class, or the alloc lists that share the class. nullptr when they are empty, too.
Block* TakeFromLists(Heap& heap, unsigned list, unsigned size_class);

// After a refill for an alloc list that shares its class: the list gets what the refill has brought.
void Refilled(Heap& heap, unsigned list, unsigned size_class);

// A block of a class without lists that was freed into the bound slab; nullptr when there is none.
Block* TakeFromBound(Heap& heap, unsigned size_class);

// Gives a list of blocks, ended by nullptr, back to their slabs.
void GiveBack(Heap& heap, Block* first);

// Puts one block back on the list of a slab that the heap has claimed; where the slab goes then is the caller's to say.
// Reports a second free in a row.
void PushFreed(Heap& heap, OwnedSlab& owned, Block* block);

// The same for a slab that the heap owns, settled.
void GiveBackTo(Heap& heap, Slab& slab, Block* block);

// Gives back all lists and batches.
void GiveBackLists(Heap& heap);

// Looks through the slabs that others put into the inbox.
void ReadInbox(Heap& heap);

// Blocks that the free list of a class may hold now.
uint32_t ListCapacity(unsigned size_class);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_REFILL_H_
