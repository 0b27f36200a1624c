// The mmap gate's scan: what to adopt before anything is mapped.
//
// A slab that nobody owns and that has free blocks is listed here, by size class. The board only names candidates: an
// entry may be out of date by the time it is looked at, and whoever takes one has to claim it.
#ifndef HAKMEM_MMAP_GATE_ADOPTION_H_
#define HAKMEM_MMAP_GATE_ADOPTION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hakmem/platform/lock.h"

namespace hakmem {

// Embedded in what can be listed. Lives in metadata that is never unmapped. Guarded by the board's lock.
struct AdoptionNode {
  AdoptionNode* next = nullptr;
  AdoptionNode* prev = nullptr;
  uint16_t listed_in = 0;  // the list that it is in, plus 1; 0: none
};

template <size_t kLists>
class AdoptionBoard {
 public:
  constexpr AdoptionBoard() = default;

  // Lists `node` in the list that `wanted()` names; should it be listed under something that it was formerly, it moves.
  // `wanted` is asked under the lock: of two who post a node, the one that comes last knows better.
  template <class Wanted>
  void Post(AdoptionNode* node, Wanted wanted) HAK_EXCLUDES(lock_) {
    LockHolder hold(lock_);
    const size_t list = wanted();
    if (node->listed_in == list + 1) return;
    if (node->listed_in != 0) Unlink(node);
    node->prev = nullptr;
    node->next = heads_[list];
    if (node->next != nullptr) node->next->prev = node;
    heads_[list] = node;
    node->listed_in = static_cast<uint16_t>(list + 1);
    Count(list, 1);
  }

  // Takes the first entry off the list, nullptr when there is none or `wanted(entry)` does not want it. Costs one load
  // when the list is empty. `wanted` is asked under the lock.
  template <class Wanted>
  AdoptionNode* Take(size_t list, Wanted wanted) HAK_EXCLUDES(lock_) {
    if (counts_[list].load(std::memory_order_relaxed) == 0) return nullptr;  // a hint: a missed entry is found later
    LockHolder hold(lock_);
    AdoptionNode* node = heads_[list];
    if (node == nullptr || !wanted(node)) return nullptr;
    Unlink(node);
    return node;
  }

  Lock& lock() { return lock_; }

 private:
  void Count(size_t list, size_t change) HAK_REQUIRES(lock_) {
    counts_[list].store(counts_[list].load(std::memory_order_relaxed) + change,  // written under the lock only
                        std::memory_order_relaxed);  // a hint to Take, which locks to be sure
  }
  void Unlink(AdoptionNode* node) HAK_REQUIRES(lock_) {
    const size_t list = size_t{node->listed_in} - 1;
    (node->prev != nullptr ? node->prev->next : heads_[list]) = node->next;
    if (node->next != nullptr) node->next->prev = node->prev;
    node->listed_in = 0;
    Count(list, size_t{0} - 1);
  }

  Lock lock_{LockRank::kAdoption};
  AdoptionNode* heads_[kLists] HAK_GUARDED_BY(lock_) = {};
  std::atomic<size_t> counts_[kLists] = {};
};

}  // namespace hakmem

#endif  // HAKMEM_MMAP_GATE_ADOPTION_H_
