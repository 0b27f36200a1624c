// Which heap a thread drives: from its first allocation to its end, and what happens before and after.
#ifndef HAKMEM_TINY_THREAD_HEAP_H_
#define HAKMEM_TINY_THREAD_HEAP_H_

#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// A thread that starts as one of so many takes its first block of a class out of a slab that it does not keep.
inline constexpr uint32_t kManyHeaps = 4;
// From so many on it pays more time for less memory: seven visits of a class, not three.
inline constexpr uint32_t kVeryManyHeaps = 64;

// A slow path that a fork may interrupt in another thread: the child then must not use this heap. Stores of the same
// thread, in order; the compiler is kept from moving them.
inline void SetBusy(Heap& heap, bool busy) {
  std::atomic_signal_fence(std::memory_order_seq_cst);  // see above
  heap.busy = busy;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // see above
}

// The heap that the calling thread drives for the time of one slow operation. Usually that is the thread's own; a
// thread that has ended its heap already (a destructor that frees, after ours ran) borrows one from the pool.
class HeapScope {
 public:
  HeapScope();
  ~HeapScope();
  HeapScope(const HeapScope&) = delete;
  HeapScope& operator=(const HeapScope&) = delete;

  // nullptr without memory.
  Heap* heap() const { return heap_; }

 private:
  Heap* heap_;
  bool borrowed_ = false;
  bool was_busy_ = false;
};

// Creates the key whose destructor ends a thread's heap. Called once, before the first heap is driven.
void PrepareThreadExit();

// Reads the inbox of a heap that nobody drives, so that its slabs can be given back.
void TidyPooled(Heap* heap);

// Tidies all heaps that nobody drives.
void TidyAllPooled();

// In a forked child, while it has one thread: puts a heap in order to which threads that are gone may have left a
// notification half done.
void RepairAfterFork(Heap& heap);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_THREAD_HEAP_H_
