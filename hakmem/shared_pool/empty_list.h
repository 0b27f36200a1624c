// The lock-free list of EMPTY slots of one class (stage 1).
//
// Slots are pushed, and the list is taken whole: who takes it keeps the first slot and puts the others back. So there
// is no pop of a single element and no ABA. A slot taken by another stage stays in the list, out of date; whoever finds
// it there is refused by the slot's own word. A slot is in the list once at most (Slab::in_empty_list).
#ifndef HAKMEM_SHARED_POOL_EMPTY_LIST_H_
#define HAKMEM_SHARED_POOL_EMPTY_LIST_H_

#include <atomic>
#include <cstdint>

#include "hakmem/superslab/slab.h"

namespace hakmem::pool {

// `T` has members empty_next, an Atomic<T*>, and in_empty_list, a BasicListedFlag<Atomic>.
template <class T, template <class> class Atomic = std::atomic>
class BasicEmptyList {
 public:
  // Taking the list whole walks what is put back, so the list is kept short. Slots beyond become UNUSED.
  static constexpr uint32_t kMost = 8;

  constexpr BasicEmptyList() = default;

  bool HasRoom() const { return count_.load(std::memory_order_relaxed) < kMost; }  // about right is enough

  // Adds a slot that is EMPTY, unless an out-of-date entry of it is still in the list and serves as well.
  void Add(T& slab) {
    if (!slab.in_empty_list.Enter()) return;
    count_.fetch_add(1, std::memory_order_relaxed);  // about right is enough
    PutBack(&slab, &slab);
  }

  // Takes a slot off the list; it may be out of date. nullptr when the list is empty.
  T* Take() {
    if (head_.load(std::memory_order_relaxed) == nullptr) return nullptr;  // a look: the exchange decides
    // Acquire: the links that the pushers wrote are visible.
    T* first = head_.exchange(nullptr, std::memory_order_acquire);
    if (first == nullptr) return nullptr;
    T* rest = first->empty_next.load(std::memory_order_relaxed);  // ours since the exchange
    if (rest != nullptr) {
      T* last = rest;
      while (T* next = last->empty_next.load(std::memory_order_relaxed)) last = next;  // ours since the exchange
      PutBack(rest, last);
    }
    count_.fetch_sub(1, std::memory_order_relaxed);  // about right is enough
    first->in_empty_list.Leave();                    // before the caller looks at the slot's state
    return first;
  }

 private:
  void PutBack(T* first, T* last) {
    T* head = head_.load(std::memory_order_relaxed);  // a look: the exchange decides
    do {
      last->empty_next.store(head, std::memory_order_relaxed);  // ours until the exchange publishes it
      // Release: the links are visible to who takes the list.
    } while (!head_.compare_exchange_weak(head, first, std::memory_order_release, std::memory_order_relaxed));
  }

  Atomic<T*> head_{nullptr};
  Atomic<uint32_t> count_{0};
};

using EmptyList = BasicEmptyList<Slab>;

}  // namespace hakmem::pool

#endif  // HAKMEM_SHARED_POOL_EMPTY_LIST_H_
