// The mmap gate's scan: what to adopt before anything is mapped.
//
// A slab that nobody owns and that has free blocks is listed here, by size class. The board only names candidates: an
// entry may be out of date by the time it is looked at, and whoever takes one has to claim it.
#ifndef HAKMEM_MMAP_GATE_ADOPTION_H_
#define HAKMEM_MMAP_GATE_ADOPTION_H_

#include <atomic>
#include <cstddef>

#include "hakmem/mmap_gate/listed_flag.h"
#include "hakmem/platform/lock.h"

namespace hakmem {

// Embedded in what can be listed. Lives in metadata that is never unmapped.
struct AdoptionNode {
  AdoptionNode* next = nullptr;  // guarded by the board's lock
  BasicListedFlag<> listed;
};

template <size_t kLists>
class AdoptionBoard {
 public:
  constexpr AdoptionBoard() = default;

  // Lists `node`, unless it is listed already (then, perhaps, in the list of a class that it had formerly).
  void Post(size_t list, AdoptionNode* node) HAK_EXCLUDES(lock_) {
    if (!node->listed.Enter()) return;
    LockHolder hold(lock_);
    node->next = heads_[list];
    heads_[list] = node;
    counts_[list].store(counts_[list].load(std::memory_order_relaxed) + 1,  // written under the lock only
                        std::memory_order_relaxed);                         // a hint to Take, which locks to be sure
  }

  // Takes an entry off the list, nullptr when there is none. Costs one load when the list is empty.
  AdoptionNode* Take(size_t list) HAK_EXCLUDES(lock_) {
    if (counts_[list].load(std::memory_order_relaxed) == 0) return nullptr;  // a hint: a missed entry is found later
    LockHolder hold(lock_);
    AdoptionNode* node = heads_[list];
    if (node == nullptr) return nullptr;
    heads_[list] = node->next;
    counts_[list].store(counts_[list].load(std::memory_order_relaxed) - 1,  // written under the lock only
                        std::memory_order_relaxed);
    node->listed.Leave();  // from here on Post may link it again, under the lock
    return node;
  }

  Lock& lock() { return lock_; }

 private:
  Lock lock_{LockRank::kAdoption};
  AdoptionNode* heads_[kLists] HAK_GUARDED_BY(lock_) = {};
  std::atomic<size_t> counts_[kLists] = {};
};

}  // namespace hakmem

#endif  // HAKMEM_MMAP_GATE_ADOPTION_H_
