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

// The states (free, held, held with waiters) are those of Drepper, "Futexes Are Tricky" (2011), section 6.

void Lock::NoteAcquired() {
  NoteHeld(rank_);
  // Only the holder writes; a plain increment made visible to readers of statistics. Orders nothing.
  acquired_.store(acquired_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Relaxed: a thread sees its own store, and no other thread's value is its own pointer.
bool Lock::IsHeldByCaller() const { return HolderOf(word_.load(std::memory_order_relaxed)) == ThreadPointer(); }

// futex(2) takes 32 bits: the lower half, with the flag that says that somebody waits. That it may be the same for two
// holders does no harm: each of them wakes.
std::atomic<uint32_t>* Lock::Futex() {
  static_assert(sizeof(word_) == 2 * sizeof(std::atomic<uint32_t>));
  return reinterpret_cast<std::atomic<uint32_t>*>(&word_) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 1 : 0);
}

void Lock::Wake(uint64_t word) {
  if ((word & kWaiters) != 0) os::FutexWake(Futex(), 1);
}

void Lock::Acquire() {
  uint64_t seen = kFree;
  // Acquire: sees all that the last holder wrote. Failure goes the slow way, which orders for itself.
  if (HAK_UNLIKELY(!word_.compare_exchange_strong(seen, ThreadPointer(), std::memory_order_acquire,
                                                  std::memory_order_relaxed))) {
    if ((seen & ~kWaiters) != (ThreadPointer() | kForking)) AcquireSlow(ThreadPointer(), 0);
  }
  NoteAcquired();
}

bool Lock::TryAcquire() {
  uint64_t seen = kFree;
  // As in Acquire.
  if (!word_.compare_exchange_strong(seen, ThreadPointer(), std::memory_order_acquire, std::memory_order_relaxed) &&
      (seen & ~kWaiters) != (ThreadPointer() | kForking)) {
    return false;
  }
  NoteAcquired();
  return true;
}

// Who forks looks again every so often: a thread that has released the lock, and was to wake it, may be in a signal
// handler instead, which forks as well and waits for what is held here.
constexpr uint64_t kForkLookMs = 5;

// False when the time is over.
bool Lock::AcquireSlow(uint64_t held, uint64_t give_up_ms) {
  contended_.fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
  for (int spin = 0; spin < 100; ++spin) {
    uint64_t seen = kFree;
    // Relaxed: a look; the exchange decides, and orders as in Acquire.
    if (word_.load(std::memory_order_relaxed) == kFree &&
        word_.compare_exchange_weak(seen, held, std::memory_order_acquire, std::memory_order_relaxed)) {
      return true;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  uint64_t seen = word_.load(std::memory_order_relaxed);  // as above
  for (;;) {
    if (seen == kFree) {
      // Others may wait as well: whoever waited wakes the next one. Acquire: as above.
      if (word_.compare_exchange_weak(seen, held | kWaiters, std::memory_order_acquire, std::memory_order_relaxed)) {
        return true;
      }
      continue;
    }
    // Relaxed: tells the holder to wake somebody, and publishes nothing.
    if ((seen & kWaiters) == 0 && !word_.compare_exchange_weak(seen, seen | kWaiters, std::memory_order_relaxed)) {
      continue;
    }
    const auto expected = static_cast<uint32_t>(seen | kWaiters);
    if ((held & kForking) == 0) {
      os::FutexWait(Futex(), expected);
    } else {
      const uint64_t now = os::NowMs();
      if (now >= give_up_ms) return false;
      os::FutexWaitMs(Futex(), expected, kForkLookMs);
    }
    seen = word_.load(std::memory_order_relaxed);  // as above
  }
}

void Lock::Release() {
  NoteReleased(rank_);
  // Relaxed: set by this thread, if at all, as no other can be here while a thread holds the lock to fork.
  if (HAK_UNLIKELY((word_.load(std::memory_order_relaxed) & kForking) != 0)) return;
  // Release: publishes what was written under the lock to the next holder.
  Wake(word_.exchange(kFree, std::memory_order_release));
}

bool Lock::AcquireForFork(uint64_t give_up_ms) {
  // Of ranks nothing is noted: the thread goes on as if it held none.
  const uint64_t held = ThreadPointer() | kForking;
  uint64_t seen = kFree;
  // As in Acquire.
  if (!word_.compare_exchange_strong(seen, held, std::memory_order_acquire, std::memory_order_relaxed)) {
    if (HolderOf(seen) == ThreadPointer()) {
      ++left_alone_;
      return true;
    }
    if (!AcquireSlow(held, give_up_ms)) return false;
  }
  acquired_.store(acquired_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // as in NoteAcquired
  return true;
}

void Lock::ReleaseInParent() {
  if (!IsHeldByCaller()) return;  // given up
  if (left_alone_ != 0) {
    --left_alone_;
    return;
  }
  Wake(word_.exchange(kFree, std::memory_order_release));  // as in Release
}

void Lock::ReleaseInChild() {
  if (IsHeldByCaller() && left_alone_ != 0) {
    --left_alone_;
    return;
  }
  // Whoever else held it is gone. The child has one thread; later threads are started after this.
  left_alone_ = 0;
  word_.store(kFree, std::memory_order_release);  // as above
}

void AssertNoLockHeld() {
#if !defined(HAKMEM_BUILD_RELEASE)
  if (held_ranks != 0) __builtin_trap();
#endif
}

}  // namespace hakmem
