// How blocks go home: from the lists of a heap back to their slabs.
#ifndef HAKMEM_TINY_GIVE_BACK_H_
#define HAKMEM_TINY_GIVE_BACK_H_

#include <cstdint>

#include "hakmem/superslab/owned_slab.h"
#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// What a list has brought back to slabs.
struct Returned {
  uint32_t runs = 0;         // of blocks of one slab
  uint32_t nearly_home = 0;  // to slabs of which few blocks are out
};

// Gives a list of blocks, ended by nullptr, back to their slabs.
Returned GiveBack(Heap& heap, Block* first);

// A block that is freed a second time, others after it, closes its list to a ring. Finds out whether there is one, at
// the price of a comparison a block (Brent's algorithm); reports it then, and opens it, so that each block in it goes
// home once. What was freed before the block's first time cannot be reached any more.
void OpenRing(Block* first);

// Puts one block back on the list of a slab that the heap has claimed; where the slab goes then is the caller's to say.
// Reports a second free in a row.
void PushFreed(Heap& heap, OwnedSlab& owned, Block* block);

// The same for a slab that the heap owns, settled.
void GiveBackTo(Heap& heap, Slab& slab, Block* block);

// Gives back all lists and batches.
void GiveBackLists(Heap& heap);

// Looks at the next of the classes in turn, and gives its lists and batches back when they were not used since it
// looked there last: a program that has gone over to other sizes frees none of this class any more, which would bring
// them home, and each block may be the one that keeps a slab.
void GiveBackCold(Heap& heap);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_GIVE_BACK_H_
