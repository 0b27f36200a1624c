// Slots one by one: how they are taken and given up, and the accounts of what they hold. Inside the shared pool.
#ifndef HAKMEM_SHARED_POOL_SLOTS_H_
#define HAKMEM_SHARED_POOL_SLOTS_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/shared_pool/registry.h"
#include "hakmem/superslab/slab.h"

namespace hakmem::pool {

// All superslabs there ever were.
extern Registry g_registry;

inline uint32_t BitsOf(unsigned first, unsigned span) {
  return static_cast<uint32_t>(((uint64_t{1} << span) - 1) << first);
}
inline uint32_t BitsOf(const Slab& slab) { return BitsOf(slab.index(), static_cast<unsigned>(slab.span())); }
inline size_t BytesOf(uint32_t bits) { return static_cast<size_t>(__builtin_popcount(bits)) * kSlabSize; }

// The caller has just taken these slots: they are in use from here on. Whether their memory reads as zero.
bool StartUse(Superslab& superslab, uint32_t bits);

// The caller gives these slots up, and they may hold bytes now.
void EndUse(Superslab& superslab, uint32_t bits);

// What all slots in use span.
size_t BytesInUse();

// In a forked child: so many slots are in use.
void RecountInUse(uint64_t slots);

// Which UNUSED slots suit a slab.
struct Wanted {
  bool dense;      // it will be full, or may stay partly empty
  HeapId made_by;  // kNoHeap: by anybody
  bool purged;     // in a superslab of the other kind, also what was given back
};

// The UNUSED slots, of those given, that suit. In a superslab of another kind those that were in use before: they are
// resident, or, given back, cost a huge page nothing any more.
uint32_t Suitable(const Superslab& superslab, uint32_t unused, Wanted wanted);

// Takes `span` neighbouring UNUSED slots that are suitable: the index of the first, or -1.
int TakeUnused(Superslab& superslab, unsigned span, Wanted wanted);

// Makes slots that the caller holds UNUSED.
void GiveUnused(Superslab& superslab, uint32_t bits);

// Makes an EMPTY slot of the right span, whose word was `value`, ACTIVE and the caller's; false when it is not that.
bool TakeEmpty(Slab& slab, SlotValue value, unsigned span);

// Makes a slot that the caller holds EMPTY. Its word from here on.
SlotValue GiveEmpty(Slab& slab);

// Whether any slot is EMPTY; a hint.
bool AnyEmpty();

// Makes EMPTY slots UNUSED, so that spans of other lengths can be cut from them.
void MakeEmptyUnused(Superslab& superslab);

}  // namespace hakmem::pool

#endif  // HAKMEM_SHARED_POOL_SLOTS_H_
