// Where a heap keeps the slabs that it owns: bound (refill takes from it first), on the bench of its class (has free
// blocks), uncarved (has none, but memory that was never handed out), or full. Each owned slab that is in use is in
// exactly one of these places.
#ifndef HAKMEM_TINY_HEAP_SLABS_H_
#define HAKMEM_TINY_HEAP_SLABS_H_

#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// Takes the slab out of its place, if it is in one.
void Unplace(Heap& heap, const OwnedSlab& owned);

// Puts the slab in its place by what it has; a bound slab stays bound while it has anything.
void Place(Heap& heap, const OwnedSlab& owned);

// Makes the slab the bound one of its class; the one bound before is placed, or given up.
void Bind(Heap& heap, const OwnedSlab& owned);

// Whether the heap gives up its slab: it has no block left. Who frees the first of its blocks becomes the owner: often
// another thread, which then uses the blocks again, or brings the slab to its end, while its former owner perhaps
// sleeps for good. Slabs of classes with lists when they are full for the first time; and while there are other
// threads, slabs of few blocks each time. (A process's only thread would have to claim each itself.)
bool IsForAnybody(const OwnedSlab& owned);

// Gives up a slab that is for anybody. Where somebody frees into it meanwhile, it stays.
void GiveUp(Heap& heap, OwnedSlab owned);

// Remembers a slab that was used up, for a look later on.
void RememberSticky(Heap& heap, Slab* slab);

// After blocks went home: retires the slab when all are, places it otherwise. The one bound slab of a class with lists
// is kept, so that a program at the edge of a slab does not set it up again and again.
void Settle(Heap& heap, OwnedSlab owned);

// Whether the heap would soon use blocks of the class: it allocates of it, and has no free ones but those in its alloc
// lists. A slab that nobody owns is then better its own than anybody's.
bool WantsBlocks(Heap& heap, unsigned size_class);

// Gives up ownership, if that can be done now, and makes the slab known to those who look for blocks.
void ReleaseOrPlace(Heap& heap, OwnedSlab owned);

// Makes a slab that nobody owns, and that has blocks, known to those who look for some. It may be claimed, even
// retired, meanwhile: whoever finds it has to claim it.
void Post(Slab& slab);

// Calls `visit(owned)` for every slab of these classes that the heap owns, and for full ones of any class; it may
// unplace, retire or release the slab.
template <class Visit>
void ForEachOwned(Heap& heap, const ClassSet& classes, Visit visit) {
  auto visit_list = [&](Slab* slab) {
    while (slab != nullptr) {
      Slab* next = slab->next;
      if (auto owned = OwnedSlab::Claim(*slab, heap.who)) visit(std::move(*owned));
      slab = next;
    }
  };
  classes.ForEach([&](unsigned c) {
    visit_list(heap.bound(c));
    visit_list(heap.bench(c));
    visit_list(heap.rest->uncarved[c]);
  });
  visit_list(heap.rest->full);
}

// How many slots the slabs of the heap fill; more than `most` when they fill more.
size_t CountSlots(Heap& heap, size_t most);

// The mailbox of a class: one slab that somebody released with blocks in it, for the next who needs some. With
// `only_freed` not one that looks as if all it had was never handed out.
Slab* TakeFromMailbox(unsigned size_class, bool only_freed);
// The next entry of the mmap gate's adoption board, likewise.
Slab* TakeFromBoard(unsigned size_class, bool only_freed);
Lock& BoardLock();

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_HEAP_SLABS_H_
