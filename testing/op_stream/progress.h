// A number that one thread counts up and others wait for; on a line of its own.
#ifndef TESTING_OP_STREAM_PROGRESS_H_
#define TESTING_OP_STREAM_PROGRESS_H_

#include <atomic>
#include <cstdint>
#include <thread>

namespace hakmem::op_stream {

struct alignas(64) Progress {
  std::atomic<uint32_t> value{0};

  // Sequentially consistent where somebody waits: the store must not pass notify_all's look for waiters, which
  // libstdc++ 12 makes with an acquire only. Release elsewhere: who looks later sees what the steps before did.
  void Set(uint32_t now, bool wake) {
    value.store(now, wake ? std::memory_order_seq_cst : std::memory_order_release);
    if (wake) value.notify_all();
  }

  // Acquire: pairs with Set.
  void WaitFor(uint32_t least) {
    for (int spins = 0; spins < 64; ++spins) {
      if (value.load(std::memory_order_acquire) >= least) return;
      if (spins > 16) std::this_thread::yield();
    }
    for (uint32_t now; (now = value.load(std::memory_order_acquire)) < least;) {
      value.wait(now, std::memory_order_acquire);
    }
  }
};

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_PROGRESS_H_
