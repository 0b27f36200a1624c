// Blocks that have a size class, off the hit paths.
#ifndef HAKMEM_TINY_TINY_H_
#define HAKMEM_TINY_TINY_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/tiny/heap.h"
#include "hakmem/tiny/lists.h"
#include "hakmem/tiny/thread_heap.h"

namespace hakmem::tiny {

// A block of `list`: of the class whose list it is (size_classes.h). `*clean` tells that it reads as zero. nullptr
// without memory.
[[nodiscard]] void* Allocate(unsigned list, bool* clean);

// The same from what the calling thread has at hand: nullptr when that is nothing, the thread has not started, or it
// has a stand-in.
[[nodiscard]] void* TryAllocate(unsigned list);

// A block of up to 1 KiB out of what was freed of its class, when the list that malloc takes from is empty: a program
// with few blocks comes here at every third malloc. nullptr when nothing was freed, and where TryAllocate gives
// nothing.
[[nodiscard]] HAK_ALWAYS_INLINE void* TryAllocateFreed(size_t size) {
  const size_t list = (size + kMinBlock - 1) / kMinBlock;
  if (HAK_UNLIKELY(list > kSteppedClasses)) return nullptr;
  Heap* heap = tls_heap;
  if (HAK_UNLIKELY(heap->rest == nullptr)) return nullptr;
  const unsigned size_class = internal::kClassOfStep[list];
  const bool was_busy = heap->busy;
  SetBusy(*heap, true);
  Block* block = TakeFreed(*heap, heap->free_steps[size_class], heap->alloc_steps[list], size_class);
  SetBusy(*heap, was_busy);
  return block;
}

// As Allocate, when TryAllocate has just failed.
[[nodiscard]] void* AllocateFromSlabs(unsigned list, bool* clean);

// Frees `p`, which lies in `slab`. Reports what is no block, and the second free in a row.
void Free(void* p, Slab& slab);

// Whether the block at `p` of `slab` is the one that the calling thread freed last, of the blocks in its list.
inline bool WasFreedLast(const Slab& slab, const void* p) {
  Heap* heap = tls_heap;
  const unsigned c = slab.size_class();
  return heap->rest != nullptr && c <= kMaxListedClass && heap->free(c).head == p;
}

// Sends what waits in the calling thread's outbox, and gives its lists and free slabs back; then all that nobody
// drives. With `pages`, free pages inside slabs in use as well. Bytes given back by the latter.
size_t Trim(bool pages);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_TINY_H_
