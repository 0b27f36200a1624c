// fork(2) while locks are held elsewhere: in signal handlers, which are played here by threads that fork with a lock.

#include "hakmem/api/startup.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/os.h"
#include "hakmem/tiny/heap_pool.h"

namespace hakmem {
namespace {

// The first of the locks that a fork takes, and one of the last.
Lock& First() { return heap_pool::PoolLock(); }
Lock& Late() { return arena::ArenaLock(); }

constexpr uint64_t kLongMs = 20'000;  // far more than anything here takes, also on a busy machine

// Whether the child ended well.
bool Fork() {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  int status = -1;
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

TEST(StartupTest, AForkWithoutALockGivesBackWhatItTookWhileItWaits) HAK_NO_THREAD_SAFETY_ANALYSIS {
  hak_free(hak_malloc(1));  // sets hakmem up
  std::atomic<bool> forked{false};
  Late().Acquire();
  const uint64_t contended = Late().contended();
  std::thread plain([&] { forked = Fork(); });
  // The thread has the first lock, or had it, when it comes to the late one.
  while (Late().contended() == contended) std::this_thread::yield();
  // As the handler of this thread would.
  const bool came = First().AcquireForFork(os::NowMs() + kLongMs);
  const bool was_ended = forked;
  if (came) First().ReleaseInParent();
  Late().Release();
  plain.join();
  EXPECT_TRUE(came);
  EXPECT_FALSE(was_ended);
  EXPECT_TRUE(forked);
}

TEST(StartupTest, AForkWithALockWaitsOnceForOthers) HAK_NO_THREAD_SAFETY_ANALYSIS {
  hak_free(hak_malloc(1));
  std::atomic<bool> held{false};
  std::atomic<bool> done{false};
  std::thread other([&]() HAK_NO_THREAD_SAFETY_ANALYSIS {
    Late().Acquire();
    held = true;
    while (!done) std::this_thread::yield();
    Late().Release();
  });
  while (!held) std::this_thread::yield();
  First().Acquire();
  uint64_t first = os::NowMs();
  bool well = Fork();
  first = os::NowMs() - first;
  // The best of many: a fork itself may take long on a busy machine.
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 20; ++i) {
    const uint64_t begin = os::NowMs();
    well &= Fork();
    best = std::min(best, os::NowMs() - begin);
  }
  First().Release();
  done = true;
  other.join();
  EXPECT_TRUE(well);
  EXPECT_GE(first, 100u) << "the other one might have released it";
  EXPECT_LT(best, 90u);
}

}  // namespace
}  // namespace hakmem
