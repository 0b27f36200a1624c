// The hit paths of malloc and free. No call, no lock, no system call, and errno is left alone.
//
// The instructions of these few lines are kept in golden files (testing/golden).
#ifndef HAKMEM_TINY_FAST_PATH_H_
#define HAKMEM_TINY_FAST_PATH_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/compiler.h"
#include "hakmem/platform/round_up.h"
#include "hakmem/tiny/heap.h"
#include "hakmem/tiny/tiny.h"

namespace hakmem::tiny {

// A block of up to 1 KiB out of the thread's own list; nullptr when the list is empty, or the size is 0 or larger.
HAK_ALWAYS_INLINE void* TryMalloc(size_t size) {
  if constexpr (kGuardBuild) return nullptr;  // each block gets guard words, off the hit path
  // Sizes next to SIZE_MAX wrap to list 0, which is always empty.
  const size_t list = (size + 15) >> 4;
  if (HAK_UNLIKELY(list > kSteppedClasses)) return nullptr;
  Heap* heap = tls_heap;
  Block* block = heap->alloc_steps[list];
  if (HAK_UNLIKELY(block == nullptr)) return nullptr;
  heap->alloc_steps[list] = NextOf(block);
  return block;
}

// The same, aligned to `alignment`, a power of two: blocks of the class of a multiple of it are, as slabs start at
// multiples of 64 KiB (size_classes_test derives that). Sizes next to SIZE_MAX wrap to 0 here, and an alignment above 1
// KiB makes any other size too large.
HAK_ALWAYS_INLINE void* TryMallocAligned(size_t alignment, size_t size) { return TryMalloc(RoundUp(size, alignment)); }

// Counts a block that was put on the calling thread's own list. One instruction where the compiler would use two.
HAK_ALWAYS_INLINE void CountUp(FreeList* list) {
#if defined(__x86_64__) && !defined(HAK_TSAN)
  __asm__("incq %0" : "+m"(list->filled));
#else
  // Relaxed: read by others, to whom it only says that the list is not theirs.
  __atomic_store_n(&list->filled, list->filled + 1, __ATOMIC_RELAXED);
#endif
}

// Finds in the address map the list to which a block at `p` goes, were it the calling thread's. What stands at other
// addresses of the window gives a list that is in nobody's use; so does everything in an empty map (window.h). False
// for addresses outside of the window.
HAK_ALWAYS_INLINE bool FindList(const void* p, FreeList** list) {
  const uintptr_t base = g_map_base;
  size_t piece = (reinterpret_cast<uintptr_t>(p) - base) >> kSlabShift;
  HAK_OPAQUE(piece);
  if (HAK_UNLIKELY(piece >= kWindowSlabs)) return false;  // a foreign pointer: nothing behind it is read
  // Relaxed: see address_map.h.
  const uintptr_t tag = __atomic_load_n(reinterpret_cast<uint32_t*>(base) + piece, __ATOMIC_RELAXED);
  *list = reinterpret_cast<FreeList*>(base + tag * 8);
  return true;
}

// Puts `p` on `list` when that is the calling thread's own and has room; false otherwise.
HAK_ALWAYS_INLINE bool TryPush(FreeList* list, void* p) {
  // The driver's own word needs no order; anybody else's value, of whatever moment, is far from this thread's pointer.
  const uintptr_t used = __atomic_load_n(&list->filled, __ATOMIC_RELAXED) - ThreadPointer();
  if (HAK_UNLIKELY(used >= kMaxListLength)) return false;
  Block* block = static_cast<Block*>(p);
  Block* head = list->head;
  if (HAK_UNLIKELY(head == block)) return false;  // freed twice in a row
  SetNext(block, head);
  list->head = block;
  CountUp(list);
  return true;
}

// Frees `p` when it is a block of the calling thread's own heap and its list has room; false otherwise.
HAK_ALWAYS_INLINE bool TryFree(void* p) {
  FreeList* list;
  return FindList(p, &list) && TryPush(list, p);
}

// The same when `size`, at most 1 KiB, was asked for; false also when the block is of another class.
HAK_ALWAYS_INLINE bool TryFreeSized(void* p, size_t size) {
  const size_t step = (size + 15) >> 4;
  if (HAK_UNLIKELY(step > kSteppedClasses)) return false;
  FreeList* list;
  if (HAK_UNLIKELY(!FindList(p, &list) || list != &tls_heap->free_steps[internal::kClassOfStep[step]])) return false;
  return TryPush(list, p);
}

// The same for 1 KiB < size <= kMaxListed.
HAK_ALWAYS_INLINE bool TryFreeWide(void* p, size_t size) {
  HeapRest* rest = tls_heap->rest;
  FreeList* list;
  // No block of these classes starts elsewhere.
  constexpr size_t kWideStep = kMaxStepped / 8;
  static_assert(kSizeClasses[kSteppedClasses + 1].block_size % kWideStep == 0);
  if (HAK_UNLIKELY(reinterpret_cast<uintptr_t>(p) % kWideStep != 0)) return false;
  if (HAK_UNLIKELY(rest == nullptr || !FindList(p, &list))) return false;
  return list == &rest->free[ListOfSize(size) - kSteppedClasses - 1] && TryPush(list, p);
}

// The size of the block at `p` when that is a block of the calling thread's own heap that goes to a list; 0 otherwise.
HAK_ALWAYS_INLINE size_t OwnBlockSize(const void* p) {
  FreeList* list;
  if (HAK_UNLIKELY(!FindList(p, &list))) return 0;
  const Heap* heap = tls_heap;
  const size_t step =
      static_cast<size_t>(reinterpret_cast<const char*>(list) - reinterpret_cast<const char*>(&heap->free_steps[0])) /
      sizeof(FreeList);
  if (HAK_LIKELY(step <= kSteppedClasses)) return step * 16;
  if (HAK_UNLIKELY(heap->rest == nullptr)) return 0;
  const size_t wide =
      static_cast<size_t>(reinterpret_cast<const char*>(list) - reinterpret_cast<const char*>(&heap->rest->free[0])) /
      sizeof(FreeList);
  return wide < kWideClasses ? kSizeClasses[kSteppedClasses + 1 + wide].block_size : 0;
}

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_FAST_PATH_H_
