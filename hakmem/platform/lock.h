// A small mutex over futex(2) that allocates nothing and keeps its own statistics.
//
// Locks are ranked; a thread takes them only in rising order, and no lock is held across a system call that maps or
// unmaps memory. Debug builds check both (LockRankGuard, AssertNoLockHeld).
#ifndef HAKMEM_PLATFORM_LOCK_H_
#define HAKMEM_PLATFORM_LOCK_H_

#include <atomic>
#include <cstdint>

#include "hakmem/platform/build.h"
#include "hakmem/platform/compiler.h"

namespace hakmem {

// In the order in which they may be taken. All are leaves today but for fork, which takes every one in this order.
enum class LockRank : uint8_t { kInit, kHeapPool, kHuge, kSharedPool, kAdoption, kArena, kMetadata, kReport };

class HAK_CAPABILITY("mutex") Lock {
 public:
  constexpr explicit Lock(LockRank rank) : rank_(rank) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void Acquire() HAK_ACQUIRE();
  [[nodiscard]] bool TryAcquire() HAK_TRY_ACQUIRE(true);
  void Release() HAK_RELEASE();

  // Around fork(2), by the thread that forks. In between it goes through the lock, which guards consistent data then:
  // fork handlers of the program may allocate at any time. In the child, threads that waited are gone.
  //
  // A signal handler that forks may have interrupted its own thread while that held the lock: waiting would have no
  // end. The lock is left alone then, and so it is by the two functions below: the interrupted code releases it.
  //
  // False when the lock did not come until `give_up_ms` (of os::NowMs).
  bool AcquireForFork(uint64_t give_up_ms) HAK_TRY_ACQUIRE(true);
  void ReleaseInParent() HAK_RELEASE();
  void ReleaseInChild() HAK_RELEASE();

  bool IsHeldByCaller() const;
  // By a thread that holds the lock, in a signal handler that forks: that it could not have another one; and whether it
  // could not have one before, in this same acquisition.
  void NoteGivenUp() { given_up_at_ = acquired(); }
  bool HasGivenUp() const { return given_up_at_ == acquired(); }
  // After AcquireForFork: whether it took the lock, so that nobody is in the middle of changing what that guards.
  bool IsWhole() const { return IsHeldByCaller() && left_alone_ == 0; }

  // Read without the lock for statistics; exact when the process is quiet.
  uint64_t acquired() const { return acquired_.load(std::memory_order_relaxed); }    // a count, orders nothing
  uint64_t contended() const { return contended_.load(std::memory_order_relaxed); }  // a count, orders nothing

 private:
  // The thread pointer of the holder, which fork keeps, and these; or 0. In one word, so that there is no moment at
  // which a thread holds the lock and a signal handler of its does not see that.
  static constexpr uint64_t kFree = 0;
  static constexpr uint64_t kWaiters = 1;
  static constexpr uint64_t kForking = 2;  // held by a thread that forks
  static uint64_t HolderOf(uint64_t word) { return word & ~(kWaiters | kForking); }

  bool AcquireSlow(uint64_t held, uint64_t give_up_ms);
  void NoteAcquired();
  void Wake(uint64_t word);
  std::atomic<uint32_t>* Futex();

  std::atomic<uint64_t> word_{kFree};
  const LockRank rank_;
  // How many forks of the holder, one within the other, found the lock held. The holder's alone.
  uint32_t left_alone_ = 0;
  uint64_t given_up_at_ = UINT64_MAX;  // of acquired_. The holder's alone
  std::atomic<uint64_t> acquired_{0};
  std::atomic<uint64_t> contended_{0};
};

class HAK_SCOPED_CAPABILITY LockHolder {
 public:
  explicit LockHolder(Lock& lock) HAK_ACQUIRE(lock) : lock_(lock) { lock_.Acquire(); }
  ~LockHolder() HAK_RELEASE() { lock_.Release(); }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;

 private:
  Lock& lock_;
};

// Debug builds stop here when the calling thread holds any lock of hakmem's: called before memory is mapped.
void AssertNoLockHeld();

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_LOCK_H_
