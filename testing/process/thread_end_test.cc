// The end of threads, under the hak_ names: destructors that allocate and free before, while and after the thread's
// heap ends, threads in numbers, and blocks that outlive the thread that made them.

#include <pthread.h>
#include <string.h>

#include <atomic>
#include <thread>
#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/api/statistics.h"

namespace {

size_t SlabBytesInUse() { return hakmem::MallocInfo2().uordblks; }

void UseHeap() {
  for (size_t size : {size_t{24}, size_t{1000}, size_t{5000}, size_t{100'000}, size_t{3'000'000}}) {
    char* p = static_cast<char*>(hak_malloc(size));
    ASSERT_NE(p, nullptr);
    memset(p, 1, size);
    hak_free(p);
  }
}

// The system calls destructors in four rounds while values are set. The thread sanitizer ends its own part of a thread
// in the last.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TESTING_ROUNDS 2
#endif
#endif
#ifndef TESTING_ROUNDS
#define TESTING_ROUNDS 4
#endif

pthread_key_t g_keys[6];
std::atomic<int> g_destructor_calls{0};

// Sets its key anew as long as the system calls destructors: some run after any heap's end.
void Destroy(void* value) {
  UseHeap();
  hak_free(value);
  const int calls = ++g_destructor_calls;
  if (calls > 6 * (TESTING_ROUNDS - 1) && TESTING_ROUNDS < 4) return;
  const int key = calls % 6;
  pthread_setspecific(g_keys[key], hak_malloc(static_cast<size_t>(key) * 300 + 40));
}

// The last value of each key is never freed: no destructor is called for it.
TEST(ThreadEnd, KeyDestructorsAllocateInEveryRound) {
  // Some keys are older than the heap's own key, in a process in which no block was asked for yet; some are younger.
  for (int i = 0; i < 3; ++i) ASSERT_EQ(pthread_key_create(&g_keys[i], Destroy), 0);
  hak_free(hak_malloc(1));
  for (int i = 3; i < 6; ++i) ASSERT_EQ(pthread_key_create(&g_keys[i], Destroy), 0);
  hak_trim(0);
  const size_t before = SlabBytesInUse();
  for (int round = 0; round < 50; ++round) {
    g_destructor_calls = 0;
    std::thread([] {
      for (pthread_key_t key : g_keys) pthread_setspecific(key, hak_malloc(100));
    }).join();
    EXPECT_GE(g_destructor_calls, 6 * (TESTING_ROUNDS - 1));
  }
  for (pthread_key_t key : g_keys) pthread_key_delete(key);
  hak_trim(0);
  // 50 times at most 6 blocks are lost by the test itself.
  EXPECT_LE(SlabBytesInUse(), before + (size_t{2} << 20));
}

struct Local {
  void* block = hak_malloc(500);
  std::vector<void*> more;
  ~Local() {
    hak_free(block);
    for (void* p : more) hak_free(p);
    UseHeap();
  }
};

TEST(ThreadEnd, ThreadLocalObjectsUseTheHeap) {
  hak_trim(0);
  const size_t before = SlabBytesInUse();
  for (int round = 0; round < 100; ++round) {
    std::thread([] {
      static thread_local Local local;
      for (size_t size = 1; size < 20'000; size += size / 2 + 1) local.more.push_back(hak_malloc(size));
    }).join();
  }
  hak_trim(0);
  EXPECT_LE(SlabBytesInUse(), before + (size_t{1} << 20));
}

TEST(ThreadEnd, BlocksOutliveTheirThread) {
  constexpr int kThreads = 40;
  std::vector<std::vector<char*>> blocks(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    std::thread([&blocks, t] {
      for (size_t i = 0; i < 200; ++i) {
        const size_t size = 16 + i * 37 % 3000;
        blocks[t].push_back(static_cast<char*>(hak_malloc(size)));
        memset(blocks[t].back(), t, size);
      }
    }).join();
  }
  for (int t = 0; t < kThreads; ++t) {
    for (size_t i = 0; i < 200; ++i) {
      const size_t size = 16 + i * 37 % 3000;
      EXPECT_EQ(blocks[t][i][0], t);
      EXPECT_EQ(blocks[t][i][size - 1], t);
      hak_free(blocks[t][i]);
    }
  }
  hak_trim(0);
  EXPECT_LE(SlabBytesInUse(), size_t{2} << 20);
}

TEST(ThreadEnd, ManyThreadsOneAfterTheOther) {
  std::vector<void*> handed_over;
  for (int i = 0; i < 1500; ++i) {
    std::thread([&handed_over, i] {
      for (int k = 0; k < 20; ++k) hak_free(hak_malloc(static_cast<size_t>(i % 900 + 1)));
      if (i % 10 == 0) handed_over.push_back(hak_malloc(64));
    }).join();
  }
  for (void* p : handed_over) hak_free(p);
  hak_trim(0);
  EXPECT_LE(SlabBytesInUse(), size_t{2} << 20);
}

TEST(ThreadEnd, ManyThreadsAtOnce) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    std::atomic<int> ready{0};
    for (int i = 0; i < 100; ++i) {
      threads.emplace_back([&ready] {
        void* p = hak_malloc(100);
        ++ready;
        while (ready < 100) std::this_thread::yield();
        hak_free(p);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  hak_trim(0);
  EXPECT_LE(SlabBytesInUse(), size_t{2} << 20);
}

}  // namespace
