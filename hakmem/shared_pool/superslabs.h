// Superslabs as a whole: made, idle in an LRU, given up. Inside the shared pool.
#ifndef HAKMEM_SHARED_POOL_SUPERSLABS_H_
#define HAKMEM_SHARED_POOL_SUPERSLABS_H_

#include <cstdint>

#include "hakmem/superslab/slab.h"

namespace hakmem::pool {

// The superslab that became idle last, for heap `who`; nobody else can take its slots yet. nullptr when there is none.
Superslab* TakeIdleSuperslab(HeapId who);

// A new superslab, in a huge page when it will be `dense`; nobody else can take its slots yet. nullptr without memory.
Superslab* MakeSuperslab(bool dense, HeapId who);

// Puts a superslab without active slots into the LRU, unless somebody takes a slot of it meanwhile.
void TryIdle(Superslab& superslab);

// Gives the superslab that is idle longest to the page arena. False when there is none.
bool DissolveOldest();

// Superslabs taken from the page arena since the start.
uint64_t SuperslabsMade();

// In a forked child: so many superslabs are in use.
void RecountSuperslabs(uint64_t superslabs);

}  // namespace hakmem::pool

#endif  // HAKMEM_SHARED_POOL_SUPERSLABS_H_
