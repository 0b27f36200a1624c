// A flag that keeps a node from being in a list twice, where an entry that is out of date may stand for a later one.
//
// Who wants to list the node enters it; false says that it is in the list already, or about to be taken out: whoever
// takes it out sees, when it has left, all that happened before that Enter, and looks at the node then.
#ifndef HAKMEM_MMAP_GATE_LISTED_FLAG_H_
#define HAKMEM_MMAP_GATE_LISTED_FLAG_H_

#include <atomic>

namespace hakmem {

template <template <class> class Atomic = std::atomic>
class BasicListedFlag {
 public:
  constexpr BasicListedFlag() = default;

  // True: the caller links the node.
  [[nodiscard]] bool Enter() {
    // Release: Leave sees what made us list the node, though we do not link it. Acquire: who took the node out is done
    // with its link.
    return !listed_.exchange(true, std::memory_order_acq_rel);
  }

  // The caller has taken the node out, and looks at it after this.
  void Leave() {
    // The other half of both: an exchange, because a store would not see the Enter that it overwrites.
    listed_.exchange(false, std::memory_order_acq_rel);
  }

 private:
  Atomic<bool> listed_{false};
};

}  // namespace hakmem

#endif  // HAKMEM_MMAP_GATE_LISTED_FLAG_H_
