// Blocks that have a size class, off the hit paths.
#ifndef HAKMEM_TINY_TINY_H_
#define HAKMEM_TINY_TINY_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// A block of `list`: of the class whose list it is (size_classes.h). `*clean` tells that it reads as zero. nullptr
// without memory.
[[nodiscard]] void* Allocate(unsigned list, bool* clean);

// The same from what the calling thread has at hand: nullptr when that is nothing, the thread has not started, or it
// has a stand-in.
[[nodiscard]] void* TryAllocate(unsigned list);

// As Allocate, when TryAllocate has just failed.
[[nodiscard]] void* AllocateFromSlabs(unsigned list, bool* clean);

// Frees `p`, which lies in `slab`. Reports what is no block, and the second free in a row.
void Free(void* p, Slab& slab);

// Sends what waits in the calling thread's outbox, and gives its lists and free slabs back; then all that nobody
// drives. With `pages`, free pages inside slabs in use as well. Bytes given back by the latter.
size_t Trim(bool pages);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_TINY_H_
