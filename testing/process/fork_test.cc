// fork(2) in a process with threads, under load: parent and child go on, and nothing waits for a thread that is gone.

#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// The children of these tests start threads, as hakmem says they may.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }
#endif
#endif

extern char** environ;

namespace {

// A child that waits for ever is ended by this signal, which fails the test.
constexpr unsigned kMostSeconds = 30;

struct Filled {
  unsigned char* p;
  size_t size;
};

Filled Fill(size_t size, int seed) {
  auto* p = static_cast<unsigned char*>(hak_malloc(size));
  if (p != nullptr) memset(p, seed, size);
  return {p, size};
}

bool Holds(const Filled& block, int seed) {
  return block.p != nullptr && block.p[0] == static_cast<unsigned char>(seed) &&
         block.p[block.size - 1] == static_cast<unsigned char>(seed);
}

// Allocates and frees in every size; true when all bytes stayed.
bool Work(int rounds) {
  std::vector<Filled> blocks;
  for (int round = 0; round < rounds; ++round) {
    for (size_t size = 1; size < 3'000'000; size += size / 2 + 9) blocks.push_back(Fill(size, round));
    for (const Filled& block : blocks) {
      if (!Holds(block, round)) return false;
      hak_free(block.p);
    }
    blocks.clear();
  }
  return true;
}

// Threads that allocate, free, and free each other's blocks until told to stop.
class Load {
 public:
  explicit Load(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this, i] { Run(static_cast<unsigned>(i)); });
  }
  ~Load() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    for (std::atomic<void*>& place : exchange_) hak_free(place.exchange(nullptr));
  }

 private:
  void Run(unsigned seed) {
    while (!stop_) {
      seed = seed * 1664525 + 1013904223;
      const size_t size = seed >> 28 == 0 ? (seed >> 8) % 3'000'000 + 1 : (seed >> 8) % 3000 + 1;
      auto* p = static_cast<unsigned char*>(hak_malloc(size));
      if (p != nullptr) p[0] = p[size - 1] = 1;
      hak_free(exchange_[(seed >> 16) % kPlaces].exchange(p));
    }
  }

  static constexpr size_t kPlaces = 1000;
  std::atomic<bool> stop_{false};
  std::atomic<void*> exchange_[kPlaces] = {};
  std::vector<std::thread> threads_;
};

// Forks; the child ends with status 0 when `child` returns true. Whether it did.
template <class Child>
bool Fork(Child child) {
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(kMostSeconds);
    _exit(child() ? 0 : 1);
  }
  if (pid < 0) return false;
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return false;
  if (WIFSIGNALED(status)) ADD_FAILURE() << "the child ended by signal " << WTERMSIG(status);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Fork, ParentAndChildGoOnUnderLoad) {
  std::vector<Filled> kept;
  for (size_t size = 1; size < 2'000'000; size += size / 3 + 1) kept.push_back(Fill(size, 77));
  Load load(3);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(Fork([&] {
      for (const Filled& block : kept) {
        if (!Holds(block, 77)) return false;
        hak_free(block.p);
      }
      return Work(1);
    })) << i;
    for (const Filled& block : kept) ASSERT_TRUE(Holds(block, 77));
    ASSERT_TRUE(Work(1));
  }
  for (const Filled& block : kept) hak_free(block.p);
}

TEST(Fork, TheChildMakesThreads) {
  Load load(2);
  for (int i = 0; i < 15; ++i) {
    ASSERT_TRUE(Fork([] {
      std::atomic<int> good{0};
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t) threads.emplace_back([&good] { good += Work(1) ? 1 : 0; });
      for (std::thread& thread : threads) thread.join();
      return good == 4 && Work(1);
    })) << i;
  }
}

TEST(Fork, ThreadsFork) {
  Load load(1);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&good] {
      for (int i = 0; i < 10; ++i) good += Fork([] { return Work(1); }) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 30);
}

TEST(Fork, ChildrenOfChildren) {
  Load load(2);
  EXPECT_TRUE(Fork(
      [] { return Work(1) && Fork([] { return Work(1) && Fork([] { return Work(1); }) && Work(1); }) && Work(1); }));
}

TEST(Fork, AThreadThatNeverAllocated) {
  bool good = false;
  std::thread([&good] { good = Fork([] { return Work(1); }); }).join();
  EXPECT_TRUE(good);
}

TEST(Fork, ManyInARow) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Fork([] {
      hak_free(hak_malloc(100));
      return true;
    })) << i;
  }
}

TEST(Fork, TheChildUsesAndFreesBlocksOfThreadsThatAreGone) {
  std::vector<Filled> blocks(400);
  std::atomic<bool> made{false};
  std::atomic<bool> stop{false};
  std::thread maker([&] {
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = Fill(16 + i * 91 % 40'000, 5);
    made = true;
    while (!stop) std::this_thread::yield();
  });
  while (!made) std::this_thread::yield();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Fork([&] {
      for (const Filled& block : blocks) {
        if (!Holds(block, 5)) return false;
        hak_free(block.p);
      }
      hak_trim(0);
      return Work(2);
    }));
  }
  stop = true;
  maker.join();
  for (const Filled& block : blocks) {
    EXPECT_TRUE(Holds(block, 5));
    hak_free(block.p);
  }
}

TEST(Spawn, WithoutCopyingTheProcess) {
  Load load(2);
  for (int i = 0; i < 20; ++i) {
    pid_t pid = 0;
    char program[] = "/bin/true";
    char* arguments[] = {program, nullptr};
    ASSERT_EQ(posix_spawn(&pid, program, nullptr, nullptr, arguments, environ), 0);
    int status = -1;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    const pid_t shared = vfork();
    if (shared == 0) _exit(3);
    ASSERT_EQ(waitpid(shared, &status, 0), shared);
    EXPECT_EQ(WEXITSTATUS(status), 3);
    ASSERT_TRUE(Work(1));
  }
}

}  // namespace
