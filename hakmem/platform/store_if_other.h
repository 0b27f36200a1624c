// What a forked child sets right.
#ifndef HAKMEM_PLATFORM_STORE_IF_OTHER_H_
#define HAKMEM_PLATFORM_STORE_IF_OTHER_H_

#include <atomic>

namespace hakmem {

// Stores `value` where there is another one. A process and its child share each page until one of them writes to it,
// which copies the page; and mostly a child has nothing to set right.
template <class T>
void StoreIfOther(std::atomic<T>& word, T value) {
  // Relaxed: a child has one thread.
  if (word.load(std::memory_order_relaxed) != value) word.store(value, std::memory_order_relaxed);  // as above
}

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_STORE_IF_OTHER_H_
