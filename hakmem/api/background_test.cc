// The helper thread of HAKMEM_BACKGROUND: gives back while the program sleeps, takes no signal, and is not missed.
#include "hakmem/api/background.h"

#include <dirent.h>
#include <errno.h>
#include <hakmem/hakmem.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/compiler.h"
#include "testing/support/sandbox.h"

namespace hakmem {
namespace {

constexpr size_t kBytes = size_t{4} << 20;

// Ids of the threads of this process other than the first.
std::vector<std::string> OtherThreads() {
  std::vector<std::string> ids;
  DIR* const directory = opendir("/proc/self/task");
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.' && entry->d_name != std::to_string(getpid())) ids.push_back(entry->d_name);
  }
  closedir(directory);
  return ids;
}

uint64_t BlockedSignals(const std::string& thread) {
  FILE* const file = fopen(("/proc/self/task/" + thread + "/status").c_str(), "r");
  unsigned long long blocked = 0;
  char line[256];
  while (fgets(line, sizeof(line), file) != nullptr) sscanf(line, "SigBlk: %llx", &blocked);
  fclose(file);
  return blocked;
}

void MakeIdleMemory() {
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) {
    void* const p = hak_malloc(kBytes);
    ASSERT_NE(p, nullptr);
    memset(p, 1, kBytes);
    blocks.push_back(p);
  }
  for (void* p : blocks) hak_free(p);
}

bool BecomesQuiet() {
  for (int i = 0; i < 1000 && g_idle.idle() != 0; ++i) usleep(10'000);
  return g_idle.idle() == 0;
}

// The whole story, in the process that the test is.
TEST(BackgroundTest, GivesBackWhileTheProgramSleeps) {
  pid_t first = 0;
  std::thread([&first] { first = gettid(); }).join();  // with the first thread a sanitizer starts one of its own
  // A thread that was joined is among the others until the kernel has buried it.
  while (access(("/proc/self/task/" + std::to_string(first)).c_str(), F_OK) == 0) usleep(1000);
  const size_t before = OtherThreads().size();
  g_options.purge_delay_ms = 200;
  MakeIdleMemory();
  EXPECT_GT(g_idle.idle(), 0u);
  usleep(300'000);
  EXPECT_GT(g_idle.idle(), 0u);  // nobody looks at it
  EXPECT_EQ(OtherThreads().size(), before);
  g_options.background = 1;
  MakeIdleMemory();
  ASSERT_EQ(OtherThreads().size(), before + 1);
  EXPECT_TRUE(BecomesQuiet());
  bool deaf = false;
  for (const std::string& thread : OtherThreads()) {
    const uint64_t blocked = BlockedSignals(thread);
    bool all = true;
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM})
      all = all && ((blocked >> (signal - 1)) & 1) != 0;
    deaf = deaf || all;
  }
  EXPECT_TRUE(deaf);
  sigset_t mask;
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGINT), 0);
}

#if !defined(HAK_TSAN)  // which lets no thread start in a child of a program with threads
TEST(BackgroundTest, AChildGetsAHelperOfItsOwn) {
  g_options.background = 1;
  g_options.purge_delay_ms = 200;
  EXPECT_TRUE(test::HoldsInChild([] {
    const bool alone = OtherThreads().empty();
    MakeIdleMemory();
    return alone && OtherThreads().size() == 1 && BecomesQuiet();
  }));
}

TEST(BackgroundTest, SmallBlocksWillDo) {
  g_options.background = 1;
  g_options.purge_delay_ms = 200;
  EXPECT_TRUE(test::HoldsInChild([] {
    std::vector<void*> blocks(20'000);
    for (void*& block : blocks) block = hak_malloc(400);
    bool was_idle = false;  // at any time: on a busy machine the helper may have come round before the last free
    for (void* block : blocks) {
      hak_free(block);
      was_idle = was_idle || g_idle.idle() != 0;
    }
    return OtherThreads().size() == 1 && was_idle && BecomesQuiet();
  }));
}

// The program gets its memory all the same.
TEST(BackgroundTest, WithoutAThreadTheProgramGoesOn) {
  g_options.background = 1;
  EXPECT_TRUE(test::HoldsInChild([] {
    if (!test::RefuseSystemCall(SYS_clone3, EAGAIN) || !test::RefuseSystemCall(SYS_clone, EAGAIN)) return false;
    errno = 0;
    MakeIdleMemory();
    MakeIdleMemory();
    return errno == 0 && OtherThreads().empty() && !::testing::Test::HasFailure();
  }));
}
#endif

}  // namespace
}  // namespace hakmem
