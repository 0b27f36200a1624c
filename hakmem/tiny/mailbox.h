// The mailbox of a size class: one slab that somebody released with blocks in it, for the next who needs some.
//
// A mailbox passes on a name. The slab may be claimed, even retired, before the name is taken: whoever takes it has to
// claim the slab. The name is out of the box once it is taken, so a name is never taken twice.
#ifndef HAKMEM_TINY_MAILBOX_H_
#define HAKMEM_TINY_MAILBOX_H_

#include <atomic>

namespace hakmem {

template <class T, template <class> class Atomic = std::atomic>
class BasicMailbox {
 public:
  constexpr BasicMailbox() = default;

  // False when there is a name in the box already.
  [[nodiscard]] bool Post(T* name) {
    if (box_.load(std::memory_order_relaxed) != nullptr) return false;  // a look: the exchange decides
    T* expected = nullptr;
    // Release: who takes the name sees the slab as we released it. One that did not would be refused by an owner that
    // is none any more, and the name would be lost.
    return box_.compare_exchange_strong(expected, name, std::memory_order_release, std::memory_order_relaxed);
  }

  // The name in the box, which may be out of it by now: a look.
  T* Peek() const { return box_.load(std::memory_order_relaxed); }  // as said

  // nullptr when the box is empty.
  T* Take() {
    if (box_.load(std::memory_order_relaxed) == nullptr) return nullptr;  // a look: the exchange decides
    return box_.exchange(nullptr, std::memory_order_acquire);             // acquire: pairs with Post
  }

 private:
  Atomic<T*> box_{nullptr};
};

}  // namespace hakmem

#endif  // HAKMEM_TINY_MAILBOX_H_
