// Forks in a process whose fork handlers allocate, while other threads do.

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "testing/interpose/served.h"

extern "C" int HandlerCalls();

int main() {
  void* volatile block = malloc(100);
  if (!IsServed(block)) return 3;
  free(block);
  std::atomic<bool> stop{false};
  std::thread other([&stop] {
    for (size_t size = 1; !stop; size = size * 5 % 300'007) {
      void* volatile p = malloc(size);
      free(p);
    }
  });
  int calls = HandlerCalls();
  for (int i = 0; i < 30; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(20);
      void* volatile p = malloc(5000);
      free(p);
      _exit(HandlerCalls() == calls + 2 ? 0 : 1);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
      fprintf(stderr, "fork %d: the child ended with %d\n", i, status);
      _exit(1);
    }
    calls += 2;
    if (HandlerCalls() != calls) {
      fprintf(stderr, "%d calls of handlers, not %d\n", HandlerCalls(), calls);
      _exit(1);
    }
  }
  stop = true;
  other.join();
  printf("handlers allocated\n");
  return 0;
}
