// A fork while another thread gives idle memory back: the child can still do so.

#include <hakmem/hakmem.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/os.h"
#include "hakmem/shared_pool/shared_pool.h"

namespace hakmem {
namespace {

std::atomic<bool> in_purge{false};
std::atomic<bool> go_on{false};

// Holds up the thread that purges, for as long as the fork takes.
int HoldUpPurge(os::Call call) {
  if (call != os::Call::kPurge || in_purge.exchange(true)) return 0;
  while (!go_on.load()) std::this_thread::yield();
  return 0;
}

void FreeABurst() {
  std::vector<void*> blocks(4096);
  for (void*& block : blocks) block = hak_malloc(16384);
  for (void* block : blocks) hak_free(block);
}

// Whether the idle memory goes back once it is old enough.
bool IdleGoesBack() {
  for (int i = 0; i < 400; ++i) {
    pool::Balance();
    if (g_idle.idle() == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(Fork, ChildOfAProcessThatPurgesGivesBackIdleMemory) {
  FreeABurst();
  os::SetFaultHook(HoldUpPurge);
  std::thread purger([] {
    for (int i = 0; i < 400 && !in_purge.load(); ++i) {
      pool::Balance();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  while (!in_purge.load()) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) {
    FreeABurst();
    _exit(IdleGoesBack() ? 0 : 1);
  }
  go_on.store(true);
  purger.join();
  os::SetFaultHook(nullptr);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// What threads that are gone were about to count when the child was forked.
TEST(Fork, AChildCanGiveBackWhateverItCountsAsIdle) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&stop] {
      std::vector<void*> blocks(300);
      while (!stop.load()) {
        for (void*& block : blocks) block = hak_malloc(40'000);
        for (void* block : blocks) hak_free(block);
      }
    });
  }
  for (int i = 0; i < 60; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    const pid_t child = fork();
    if (child == 0) {
      for (int round = 0; round < 3; ++round) pool::GiveBackIdle(SIZE_MAX);
      _exit(g_idle.idle() == 0 ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << i;
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace hakmem
