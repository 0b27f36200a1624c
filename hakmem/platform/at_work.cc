#include "hakmem/platform/at_work.h"

#include "hakmem/platform/store_if_other.h"
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

bool AtWork::IsCaller() {
  for (const std::atomic<uintptr_t>& worker : workers) {
    const uintptr_t who = worker.load(std::memory_order_relaxed);  // a thread sees its own stores; no other's are it
    if (who == ThreadPointer()) return true;
  }
  return false;
}

void AtWork::ForgetOthers() {
  for (std::atomic<uintptr_t>& worker : workers) {
    const uintptr_t who = worker.load(std::memory_order_relaxed);  // a new child has one thread
    if (who != ThreadPointer()) StoreIfOther(worker, uintptr_t{0});
  }
}

}  // namespace hakmem
