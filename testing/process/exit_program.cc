// The end of a process: handlers of exit(3), static objects and the main thread's own objects allocate and free, while
// detached threads go on allocating.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "testing/interpose/served.h"

namespace {

void Use(const char* who) {
  std::vector<std::string> strings;
  for (size_t size = 1; size < 3'000'000; size += size / 2 + 1) strings.emplace_back(size, 'x');
  void* volatile block = malloc(100);
  if (!IsServed(block)) {
    fprintf(stderr, "%s: not served by hakmem\n", who);
    _exit(3);
  }
  free(block);
}

struct Static {
  std::vector<int> numbers = std::vector<int>(1000, 7);
  ~Static() { Use("static object"); }
};
Static g_static;
thread_local Static g_main_threads;

std::atomic<int> g_running{0};

}  // namespace

int main() {
  Use("main");
  if (g_main_threads.numbers[999] != 7) return 4;
  atexit([] { Use("handler of exit"); });
  for (int i = 0; i < 3; ++i) {
    std::thread([] {
      ++g_running;
      for (unsigned seed = 1;; seed = seed * 1664525 + 1013904223) {
        void* volatile p = malloc((seed >> 8) % 20'000 + 1);
        free(p);
      }
    }).detach();
  }
  // Threads that have ended, and whose blocks live on.
  std::thread([] { g_static.numbers.resize(100'000); }).join();
  while (g_running < 3) usleep(100);
  printf("at the end\n");
  return 0;
}
