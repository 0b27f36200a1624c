// The inbox of a heap: slabs of which others notify the heap's owner.
//
// Any thread may put a slab in, if it is the one that set the slab's notified bit; so a slab is in at most once, and
// its link is the notifier's until the slab is in, and the owner's from when it took the slabs out to when it
// acknowledges the notification (remote_word.h). The owner takes all slabs at once: nothing takes out a single one, so
// there is no ABA.
//
// A heap that nobody drives is put into the heap pool, and then its inbox is read by whoever puts something in. Who
// puts a slab in looks afterwards whether the heap is pooled; who pools the heap looks afterwards whether there is
// something in the inbox. All four steps are sequentially consistent, so that one of the two sees the other. (A heap
// that stays warm does not count as pooled: its next driver reads the inbox.)
#ifndef HAKMEM_TINY_INBOX_H_
#define HAKMEM_TINY_INBOX_H_

#include <atomic>
#include <cstdint>

namespace hakmem {

// `T` has a member inbox_next.
template <class T, template <class> class Atomic = std::atomic>
class BasicInbox {
 public:
  constexpr BasicInbox() = default;

  void Put(T* slab) {
    T* head = head_.load(std::memory_order_relaxed);  // a look: the exchange decides
    do {
      slab->inbox_next = head;
      // Sequentially consistent: see above. That includes release: the link is visible to who takes the inbox.
    } while (!head_.compare_exchange_weak(head, slab, std::memory_order_seq_cst, std::memory_order_relaxed));
  }

  // All slabs, linked by inbox_next; nullptr when there is none.
  T* TakeAll() {
    return head_.exchange(nullptr, std::memory_order_acquire);  // acquire: the links of those who put slabs in
  }

  // For the owner, from time to time.
  bool LooksEmpty() const { return head_.load(std::memory_order_relaxed) == nullptr; }  // a look: TakeAll orders
  // For who has just pooled the heap.
  bool IsEmpty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }  // see above

  // In a forked child, while it has one thread.
  void Forget() {
    if (!LooksEmpty()) head_.store(nullptr, std::memory_order_relaxed);  // nobody else is there
  }

 private:
  Atomic<T*> head_{nullptr};
};

enum class HeapState : uint8_t {
  kPooled,    // nobody drives the heap
  kWarm,      // nobody drives it, it has slabs and lists still, and the next driver reads the inbox
  kDriven,    // a thread does
  kOrphaned,  // in a forked child: its thread is gone, and left it in the middle of something
};

// The state of a heap, which changes under the heap pool's lock.
template <template <class> class Atomic = std::atomic>
class BasicHeapStateWord {
 public:
  constexpr BasicHeapStateWord() = default;

  // For who holds the lock, or is alone.
  HeapState Get() const { return word_.load(std::memory_order_relaxed); }       // the lock orders
  void Set(HeapState state) { word_.store(state, std::memory_order_relaxed); }  // the lock orders the change of driver

  // Followed by a look into the inbox: see above.
  void SetPooled() { word_.store(HeapState::kPooled, std::memory_order_seq_cst); }
  // For who has just put a slab into the inbox: see above.
  bool IsPooled() const { return word_.load(std::memory_order_seq_cst) == HeapState::kPooled; }

 private:
  Atomic<HeapState> word_{HeapState::kPooled};
};

}  // namespace hakmem

#endif  // HAKMEM_TINY_INBOX_H_
