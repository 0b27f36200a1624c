// The lists of a heap: how long they may be, how they help each other, and what is set aside.
#ifndef HAKMEM_TINY_LISTS_H_
#define HAKMEM_TINY_LISTS_H_

#include <array>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/platform/thread_pointer.h"
#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// The most blocks in the free list of each class. A table: a division in each takeover would cost as much as the rest
// of it.
extern const std::array<uint32_t, kListedClasses> kMostListed HAK_HIDDEN;

// Blocks that the free list of a class may hold now.
inline uint32_t ListCapacity(unsigned size_class) {
  if (size_class > kMaxListedClass) return 0;
  const uint32_t most = g_options.tiny_fast_cap;
  return kMostListed[size_class] < most ? kMostListed[size_class] : most;
}

// Whether blocks of the class are kept in lists now.
bool HasList(unsigned size_class);

// The free list of a class has no room: sets it aside, or gives it back to its slabs when enough is set aside.
void MakeRoom(Heap& heap, unsigned size_class);

// Lists of which neighbours are freed one after the other get their room in so many parts (see FetchAhead).
inline constexpr uint32_t kParts = 4;
inline uint32_t PartOf(unsigned size_class) { return ListCapacity(size_class) / kParts; }

// As many blocks has the free list of a class whose slabs only lists keep.
inline constexpr uint32_t kPinnedListed = 8;

// Makes the free list of a class empty: what it held has another place.
HAK_ALWAYS_INLINE void ResetFreed(Heap& heap, FreeList& list, unsigned size_class) {
  uint32_t room = ListCapacity(size_class);
  if (HAK_UNLIKELY(heap.ordered.Has(size_class))) {
    room = PartOf(size_class);
    heap.rest->parts_left[size_class] = kParts - 1;
  }
  if (HAK_UNLIKELY(heap.pinned.Has(size_class)) && room > kPinnedListed) room = kPinnedListed;
  list.head = nullptr;
  const uintptr_t start = ThreadPointer() + kMaxListLength - room;
  __atomic_store_n(&list.filled, start, __ATOMIC_RELAXED);  // read by others, to whom it only says: not yours
}

// A program that gets by with its lists never refills, where idle memory is looked at: it does so here, once in so many
// takeovers of a free list.
inline constexpr uint64_t kTakeoversPerLook = 64;
void LookAtIdle();

// What was freed of a class becomes its alloc list `list`, which is empty, but for the block that was freed last: that
// one, or nullptr when none was freed.
HAK_ALWAYS_INLINE Block* TakeFreed(Heap& heap, FreeList& freed, Block*& list, unsigned size_class) {
  HAK_ASSERT(list == nullptr);
  Block* first = freed.head;
  if (HAK_UNLIKELY(first == nullptr)) return nullptr;
  heap.counters.takeovers.Add(1);
  if (HAK_UNLIKELY(heap.counters.takeovers.value() % kTakeoversPerLook == 0)) LookAtIdle();
  heap.activity[size_class] = Heap::kTakenOver | Heap::kRecent;
  ResetFreed(heap, freed, size_class);
  list = NextOf(first);
  return first;
}

// A block out of the thread's other lists for an alloc list that is empty and gets more of them: the free list of its
// class, or the alloc lists that share the class. nullptr when they are empty, too.
Block* TakeFromLists(Heap& heap, unsigned list, unsigned size_class);

// After a refill for an alloc list that shares its class: the list gets what the refill has brought.
void Refilled(Heap& heap, unsigned list, unsigned size_class);

// Takes the batch of a class that was set aside last; nullptr when there is none.
Block* TakeBatch(Heap& heap, unsigned size_class);

// `bytes` of freed blocks came out of slabs again: more may be set aside.
void GrowExtra(Heap& heap, size_t bytes);

// Whether the lists and batches are such as the program may leave them: no block is in one twice, and nothing was freed
// that is no block. Where they are not, GiveBackLists reports it. Walks all to which its driver has freed.
bool AreListsSound(Heap& heap);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_LISTS_H_
