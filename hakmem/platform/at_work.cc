#include "hakmem/platform/at_work.h"

#include "hakmem/platform/thread_pointer.h"

namespace hakmem {
namespace {

// Their thread pointers, which fork keeps; 0: nobody.
constexpr int kRoom = 64;
constinit std::atomic<uintptr_t> workers[kRoom] = {};

}  // namespace

AtWork::AtWork() {
  for (std::atomic<uintptr_t>& worker : workers) {
    uintptr_t nobody = 0;
    if (worker.load(std::memory_order_relaxed) != nobody) continue;  // a look: the exchange decides
    // Sequentially consistent: in place before what follows, for a handler of this thread.
    if (worker.compare_exchange_strong(nobody, ThreadPointer(), std::memory_order_seq_cst)) {  // as above
      mine_ = &worker;
      return;
    }
  }
}

AtWork::~AtWork() {
  if (mine_ != nullptr) mine_->store(0, std::memory_order_seq_cst);  // after what was done, for a handler as well
}

// Relaxed, both: a thread sees its own stores, and no other's is its thread pointer.
bool AtWork::IsCaller() {
  for (const std::atomic<uintptr_t>& worker : workers) {
    if (worker.load(std::memory_order_relaxed) == ThreadPointer()) return true;
  }
  return false;
}

void AtWork::ForgetOthers() {
  for (std::atomic<uintptr_t>& worker : workers) {
    if (worker.load(std::memory_order_relaxed) != ThreadPointer()) worker.store(0, std::memory_order_relaxed);
  }
}

}  // namespace hakmem
