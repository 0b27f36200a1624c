// The pool of heaps: their ids, and those that no thread drives at the moment.
#ifndef HAKMEM_TINY_HEAP_POOL_H_
#define HAKMEM_TINY_HEAP_POOL_H_

#include "hakmem/platform/lock.h"
#include "hakmem/tiny/heap.h"

namespace hakmem::heap_pool {

// A heap for the calling thread to drive, the warm one first; its lists are set up by StartDriving. nullptr without
// memory.
[[nodiscard]] Heap* Acquire();

// A heap for a single operation of a thread that has ended its own; the warm one only if there is no other.
[[nodiscard]] Heap* Borrow();

// How many heaps threads drive now; a number that may be out of date.
uint32_t DrivenHeaps();

// Puts back a heap that the calling thread has stopped driving.
void Release(Heap* heap);

// Whether the pool has a warm heap, by a look.
bool HasWarm();

// What threads that live may have inherited in all, in slots: who has got much and needs little keeps it.
inline constexpr size_t kMostInherited = 64;

// Puts back a heap that has its slabs and lists still, which fill `slots`, as the warm one. False, and nothing done,
// when there is one already, or threads have inherited too much.
[[nodiscard]] bool ReleaseWarm(Heap* heap, size_t slots);

// Takes `heap` out of the pool, if it is in there, warm or not, for the calling thread to tidy. Release puts it back.
[[nodiscard]] bool AcquirePooled(Heap* heap);

// The heap of an id that a remote word holds.
Heap* ById(HeapId id);

// Calls `visit` for every heap there ever was.
using Visitor = void (*)(Heap& heap, void* context);
void ForEach(Visitor visit, void* context);

// In a forked child, while it has one thread: whether that is in the middle of something with a heap, be it `own`, its
// own one (nullptr: it has none), or another that it drives.
bool IsAtWork(const Heap* own);

// In a forked child, while it has one thread: the heaps of threads that are gone become pooled, or orphans when they
// were in the middle of something. `repair` is called for each that is not an orphan, `own` among them; not for one
// that the child's thread is in the middle of something with. nullptr: no lock may be taken, as that thread holds one;
// the heaps of those that are gone then become orphans all.
void AbandonOthersInChild(Heap* own, void (*repair)(Heap& heap));

Lock& PoolLock();

}  // namespace hakmem::heap_pool

#endif  // HAKMEM_TINY_HEAP_POOL_H_
