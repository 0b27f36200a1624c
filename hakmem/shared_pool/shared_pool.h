// The shared pool: the slots of all superslabs, with their states, and the staged search through them.
//
// Acquire looks, in this order:
//
//     stage 0    the slot that this heap gave back last, when it is still EMPTY
//     stage 0.5  EMPTY slots of the superslab that the heap used last
//     stage 1    the lock-free list of EMPTY slots of the class
//     stage 2    UNUSED slots: of the hinted superslab, then of all; then again after EMPTY slots were made UNUSED
//     stage 3    a superslab from the LRU of idle ones, or a new one through the mmap gate, outside any lock
//
// Synchronisation: a slot is taken by one successful transition of its atomic word (EMPTY) or of its superslab's mask
// of unused slots (UNUSED); both acquire what the last user released. A superslab becomes idle when all 32 of its bits
// were taken out of that mask in one exchange, which shuts everybody else out. The lock guards the LRU and the
// registry's growth only; no system call is made under it.
#ifndef HAKMEM_SHARED_POOL_SHARED_POOL_H_
#define HAKMEM_SHARED_POOL_SHARED_POOL_H_

#include <cstdint>
#include <optional>

#include "hakmem/platform/lock.h"
#include "hakmem/superslab/owned_slab.h"

namespace hakmem::pool {

// What a heap remembers between visits; its owner's alone.
struct Cache {
  Slab* last_released = nullptr;
  SlotValue last_value;
  Superslab* hot = nullptr;
  // The slab that it asks for next will be used from end to end, so that it may lie in a huge page. Other slabs stay
  // out of those, where the part of them that is not in use would be resident.
  bool dense = false;
};

// A slab for `size_class`, set up, empty and owned by `who`. Nothing without memory.
[[nodiscard]] std::optional<OwnedSlab> Acquire(Cache& cache, const Claimant& who, unsigned size_class);

// Takes back the slot of a slab that was just retired.
void Release(Cache& cache, Slab& slab);

// Gives idle memory back to the system: about `bytes`, or all there is with SIZE_MAX. Bytes given back.
size_t GiveBackIdle(size_t bytes);

// Gives the idle superslabs up to the page arena, where blocks of any length find them. False when there are none.
bool GiveUpIdleSuperslabs();

// Gives back what the idle budget says is too much or too old. Cheap when there is nothing to do; called wherever
// memory became idle, and by refill from time to time.
void Balance();

// After fork(2), in both processes. One that has forked many times gets huge pages for slabs only once they make a
// small part of it; its child, which may go on without forking, gets them as at first.
void NoteFork(bool in_child);

// In a forked child, while it has one thread: a thread that is gone may have been in Balance, or about to count what it
// took or gave up. `idle_elsewhere` bytes are idle that neither the page arena nor the pool has. `interrupted`: the
// fork came from a signal handler in the middle of something, which goes on and does its own counting; nothing is
// counted anew then, nor is a lock taken.
void RepairAfterFork(size_t idle_elsewhere, bool interrupted);

// Superslabs in use now.
uint64_t Superslabs();

struct Statistics {
  uint64_t superslabs;         // in use now
  uint64_t superslabs_mapped;  // taken from the page arena since the start
  uint64_t active_slots;       // ACTIVE now, counted in 64 KiB pieces
  uint64_t acquired[6];        // by stage: 0, 0.5, 1, 2, 3 from the LRU, 3 new
};
Statistics GetStatistics();

// Calls `visit(superslab)` for every superslab there ever was; those that are idle have no active slot.
using Visitor = void (*)(Superslab& superslab, void* context);
void ForEachSuperslab(Visitor visit, void* context);

// The lock that fork holds.
Lock& PoolLock();

}  // namespace hakmem::pool

#endif  // HAKMEM_SHARED_POOL_SHARED_POOL_H_
