#include "hakmem/platform/lock.h"

#include "hakmem/platform/os.h"
#include "hakmem/platform/thread_pointer.h"

namespace hakmem {
namespace {

#if !defined(HAKMEM_BUILD_RELEASE)
// One bit a rank that the calling thread holds.
__thread uint32_t held_ranks __attribute__((tls_model("initial-exec"))) = 0;

uint32_t Bit(LockRank rank) { return 1u << static_cast<uint32_t>(rank); }
#endif

void NoteHeld(LockRank rank) {
#if !defined(HAKMEM_BUILD_RELEASE)
  // A lock of the same or a higher rank is held already: a dead-lock waiting for its other half.
  if (held_ranks >= Bit(rank)) __builtin_trap();
  held_ranks |= Bit(rank);
#else
  (void)rank;
#endif
}

void NoteReleased(LockRank rank) {
#if !defined(HAKMEM_BUILD_RELEASE)
  held_ranks &= ~Bit(rank);
#else
  (void)rank;
#endif
}

}  // namespace

// The three states are those of Drepper, "Futexes Are Tricky" (2011), section 6.

void Lock::NoteAcquired() {
  NoteHeld(rank_);
  // Only the holder writes; a plain increment made visible to readers of statistics. Orders nothing.
  acquired_.store(acquired_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Relaxed: a thread sees its own store, and no other thread's value is its own pointer.
bool Lock::IsForking() const { return forking_.load(std::memory_order_relaxed) == ThreadPointer(); }

void Lock::Acquire() {
  uint32_t expected = kFree;
  // Acquire: sees all that the last holder wrote. Failure goes the slow way, which orders for itself.
  if (HAK_UNLIKELY(
          !word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed))) {
    if (!IsForking()) AcquireSlow();
  }
  NoteAcquired();
}

bool Lock::TryAcquire() {
  uint32_t expected = kFree;
  // As in Acquire.
  if (!word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed) &&
      !IsForking()) {
    return false;
  }
  NoteAcquired();
  return true;
}

void Lock::AcquireSlow() {
  contended_.fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
  for (int spin = 0; spin < 100; ++spin) {
    uint32_t expected = kFree;
    // Relaxed: a look; the exchange decides, and orders as in Acquire.
    if (word_.load(std::memory_order_relaxed) == kFree &&
        word_.compare_exchange_weak(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed)) {
      return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  // Acquire: as above, when the exchange finds the lock free.
  while (word_.exchange(kHeldWithWaiters, std::memory_order_acquire) != kFree) {
    os::FutexWait(&word_, kHeldWithWaiters);
  }
}

void Lock::Release() {
  NoteReleased(rank_);
  // Relaxed: set by this thread, if at all, as no other can be here while a thread holds the lock to fork.
  if (HAK_UNLIKELY(forking_.load(std::memory_order_relaxed) != 0)) return;
  // Release: publishes what was written under the lock to the next holder.
  if (word_.exchange(kFree, std::memory_order_release) == kHeldWithWaiters) os::FutexWake(&word_, 1);
}

void Lock::AcquireForFork() {
  Acquire();
  NoteReleased(rank_);                                         // the thread goes on as if it held none
  forking_.store(ThreadPointer(), std::memory_order_relaxed);  // see IsForking
}

void Lock::ReleaseInParent() {
  forking_.store(0, std::memory_order_relaxed);  // see IsForking
  Release();
}

void Lock::ReleaseInChild() {
  forking_.store(0, std::memory_order_relaxed);   // see IsForking
  word_.store(kFree, std::memory_order_release);  // the child has one thread; later threads are started after this
}

void AssertNoLockHeld() {
#if !defined(HAKMEM_BUILD_RELEASE)
  if (held_ranks != 0) __builtin_trap();
#endif
}

}  // namespace hakmem
