// Forks while another thread allocates under the mutex that a library's fork handlers take. When those run while hakmem
// holds its locks for the fork, each of the two threads waits for what the other holds.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing/interpose/served.h"

void AllocateUnderMutex(void);

static void* AllocateForEver(void* unused) {
  (void)unused;
  for (;;) {
    AllocateUnderMutex();
    usleep(10);  // or the mutex would hardly ever be free for the thread that forks
  }
}

int main(void) {
  alarm(40);
  void* const block = malloc(100);
  if (!IsServed(block)) return 3;
  free(block);
  pthread_t other;
  if (pthread_create(&other, NULL, AllocateForEver, NULL) != 0) return 2;
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      AllocateUnderMutex();
      _exit(0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
      fprintf(stderr, "fork %d: the child ended with %d\n", i, status);
      _exit(1);
    }
  }
  puts("all forks were done");
  fflush(stdout);
  _exit(0);
}
