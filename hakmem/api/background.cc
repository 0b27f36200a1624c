#include "hakmem/api/background.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "hakmem/config/options.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/store_if_other.h"
#include "hakmem/shared_pool/shared_pool.h"

namespace hakmem::background {
namespace {

constinit std::atomic<bool> started{false};
constinit std::atomic<uint32_t> never{0};
constinit std::atomic<uint64_t> try_again_ms{0};
constexpr uint64_t kTryAgainMs = 1000;

void* Run(void*) {
  for (;;) {
    const uint64_t delay = g_options.purge_delay_ms / 2;
    os::FutexWaitMs(&never, 0, delay < 10 ? 10 : delay);
    pool::Balance();
  }
  return nullptr;
}

}  // namespace

void StartIfWanted() {
  if (g_options.background == 0 || started.load(std::memory_order_relaxed)) return;  // a look: the exchange decides
  // Where no thread could be made, once in a while: each try is several system calls.
  if (os::NowMs() < try_again_ms.load(std::memory_order_relaxed)) return;  // a guess
  if (started.exchange(true, std::memory_order_relaxed)) return;  // the flag alone decides who starts; orders nothing
  const int saved = errno;
  // Signals are the program's: the helper takes none. It touches little stack.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, Run, nullptr) != 0) {
    try_again_ms.store(os::NowMs() + kTryAgainMs, std::memory_order_relaxed);  // as above
    started.store(false, std::memory_order_relaxed);                           // as above
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = saved;
}

void ForgetInChild() {
  StoreIfOther(started, false);
  StoreIfOther(try_again_ms, uint64_t{0});
}

}  // namespace hakmem::background
