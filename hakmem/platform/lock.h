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
  void AcquireForFork() HAK_ACQUIRE();
  void ReleaseInParent() HAK_RELEASE();
  void ReleaseInChild() HAK_RELEASE();

  // Read without the lock for statistics; exact when the process is quiet.
  uint64_t acquired() const { return acquired_.load(std::memory_order_relaxed); }    // a count, orders nothing
  uint64_t contended() const { return contended_.load(std::memory_order_relaxed); }  // a count, orders nothing

 private:
  enum : uint32_t { kFree = 0, kHeld = 1, kHeldWithWaiters = 2 };
  void AcquireSlow();
  void NoteAcquired();
  bool IsForking() const;

  std::atomic<uint32_t> word_{kFree};
  // The thread pointer, which fork keeps, of a thread that forks and so holds the lock; else 0.
  std::atomic<uintptr_t> forking_{0};
  const LockRank rank_;
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
