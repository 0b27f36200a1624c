// A library as many are: its fork handlers hold its mutex while the process forks. Its constructor calls nothing else,
// so that no allocation starts hakmem before it registers them.

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((visibility("default"))) void AllocateUnderMutex(void);

void AllocateUnderMutex(void) {
  pthread_mutex_lock(&g_mutex);
  // A mapping, which takes a lock of hakmem's to get and to give up.
  for (int i = 0; i < 8; ++i) free(malloc(7000000));
  pthread_mutex_unlock(&g_mutex);
}

static void Lock(void) { pthread_mutex_lock(&g_mutex); }
static void Unlock(void) { pthread_mutex_unlock(&g_mutex); }

__attribute__((constructor)) static void Register(void) { pthread_atfork(Lock, Unlock, Unlock); }
