// The lists of a heap: how long they may be, how they help each other, what is set aside, and how blocks go home.
#ifndef HAKMEM_TINY_LISTS_H_
#define HAKMEM_TINY_LISTS_H_

#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// Blocks that the free list of a class may hold now.
uint32_t ListCapacity(unsigned size_class);

// Whether blocks of the class are kept in lists now.
bool HasList(unsigned size_class);

// The free list of a class has no room: sets it aside, or gives it back to its slabs when enough is set aside.
void MakeRoom(Heap& heap, unsigned size_class);

// A block out of the thread's other lists for an alloc list that is empty and gets more of them: the free list of its
// class, or the alloc lists that share the class. nullptr when they are empty, too.
Block* TakeFromLists(Heap& heap, unsigned list, unsigned size_class);

// After a refill for an alloc list that shares its class: the list gets what the refill has brought.
void Refilled(Heap& heap, unsigned list, unsigned size_class);

// Takes the batch of a class that was set aside last; nullptr when there is none.
Block* TakeBatch(Heap& heap, unsigned size_class);

// `bytes` of freed blocks came out of slabs again: more may be set aside.
void GrowExtra(Heap& heap, size_t bytes);

// Gives a list of blocks, ended by nullptr, back to their slabs.
void GiveBack(Heap& heap, Block* first);

// Puts one block back on the list of a slab that the heap has claimed; where the slab goes then is the caller's to say.
// Reports a second free in a row.
void PushFreed(Heap& heap, OwnedSlab& owned, Block* block);

// The same for a slab that the heap owns, settled.
void GiveBackTo(Heap& heap, Slab& slab, Block* block);

// Gives back all lists and batches.
void GiveBackLists(Heap& heap);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_LISTS_H_
