// A signal handler that forks, whatever of malloc, free and their kin it interrupts: parent and child go on.
//
// usage: fork_in_handler_program step small|listed|middle|huge|mixed|threads|remote
//        fork_in_handler_program timer small|middle|huge|mixed|threads
//
// `step`: the processor's trap flag raises SIGTRAP after each instruction of the calls, and the handler forks at about
// 200 of them. `timer`: for a second the handler comes when an interval timer, or another thread, sends
// it. The child returns from the handler, ends what was interrupted, allocates, frees, starts a thread, and looks
// whether all blocks hold what was written. `remote`: the blocks are of a thread that lives and sleeps. The last line
// is "all children ended well".

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#if defined(__x86_64__)
#include <sys/ucontext.h>
#endif

namespace {

enum class Sizes { kSmall, kListed, kLone, kMiddle, kHuge, kMixed };
enum class Mode { kOne, kThreads, kRemote };

// A child that waits for ever is ended by SIGALRM.
constexpr unsigned kMostSeconds = 20;

std::atomic<long> forks{0};
std::atomic<long> failed{0};

std::atomic<bool> stop{false};

// Of the process that came out of the fork, and of the thread in it.
thread_local volatile bool in_child = false;
thread_local volatile long ops_left = 0;

void Fail(const char* what) {
  char line[100];
  const int n = snprintf(line, sizeof(line), "%s%s\n", in_child ? "child: " : "", what);
  if (write(STDERR_FILENO, line, static_cast<size_t>(n)) != n) _exit(4);
  _exit(3);
}

struct Held {
  unsigned char* p;
  size_t size;
  unsigned char byte;
};

class Blocks {
 public:
  explicit Blocks(Sizes sizes, uint64_t seed) : sizes_(sizes), random_(seed * 88172645463325252u | 1) {}

  // One call or two of the allocator. `around` is called before with true, after with false.
  template <class Around>
  void Step(Around around) {
    const uint64_t x = Random();
    Held& held = held_[x % count()];
    if (held.p == nullptr) {
      Take(held, x >> 20, around);
    } else if (sizes_ >= Sizes::kHuge && (x >> 8) % 4 == 0) {
      Check(held);
      const size_t size = SizeFrom(Random() >> 20);
      // Not step by step: it may copy a megabyte.
      Put(held, realloc(held.p, size), size);
    } else {
      Give(held, around);
    }
  }

  // Many blocks go, so that slabs come free.
  template <class Around>
  void Shrink(Around around) {
    for (size_t i = 0; i < count(); ++i) {
      if (held_[i].p != nullptr && i % 16 != 0) Give(held_[i], around);
    }
  }
  // All blocks are there.
  void Fill() {
    for (size_t i = 0; i < count(); ++i) {
      if (held_[i].p == nullptr) Take(held_[i], i, [](bool) {});
    }
  }
  void CheckAll() {
    for (size_t i = 0; i < count(); ++i) {
      if (held_[i].p != nullptr) Check(held_[i]);
    }
  }
  void GiveAll() {
    GiveAll([](bool) {});
  }
  template <class Around>
  void GiveAll(Around around) {
    for (size_t i = 0; i < count(); ++i) {
      if (held_[i].p != nullptr) Give(held_[i], around);
    }
  }

 private:
  static constexpr size_t kMost = 1500;

  size_t count() const {
    return sizes_ == Sizes::kSmall ? kMost : sizes_ == Sizes::kListed ? 300 : sizes_ == Sizes::kHuge ? 8 : 40;
  }

  uint64_t Random() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  size_t SizeFrom(uint64_t x) const {
    switch (sizes_) {
      case Sizes::kSmall: return x % 4 == 0 ? 4000 + (x >> 2) % 28'000 : 16 + (x >> 2) % 1000;
      case Sizes::kListed: return 8000;
      case Sizes::kLone: return 500'000;  // one in a slab
      case Sizes::kMiddle: return 40'000 + x % 960'000;
      case Sizes::kHuge: return 1'100'000 + x % 3'000'000;
      case Sizes::kMixed: return (size_t{1} << x % 22) + (x >> 8) % 1000;
    }
    return 0;
  }

  template <class Around>
  void Take(Held& held, uint64_t x, Around around) {
    const size_t size = SizeFrom(x);
    const bool zeroed = sizes_ == Sizes::kMixed && x % 3 == 0;
    around(true);
    void* p = zeroed ? calloc(1, size) : malloc(size);
    around(false);
    Put(held, p, size);
  }
  static void Put(Held& held, void* p, size_t size) {
    if (p == nullptr) Fail("no memory");
    static std::atomic<unsigned char> next_byte{0};
    held = {static_cast<unsigned char*>(p), size, next_byte++};
    held.p[0] = held.p[size / 2] = held.p[size - 1] = held.byte;
  }
  static void Check(const Held& held) {
    if (held.p[0] != held.byte || held.p[held.size / 2] != held.byte || held.p[held.size - 1] != held.byte) {
      Fail("a block was overwritten");
    }
  }
  template <class Around>
  static void Give(Held& held, Around around) {
    Check(held);
    around(true);
    free(held.p);
    around(false);
    held.p = nullptr;
  }

  const Sizes sizes_;
  uint64_t random_;
  Held held_[kMost] = {};
};

void* FreeInThread(void* opaque) {
  static_cast<Blocks*>(opaque)->GiveAll();
  static Blocks more(Sizes::kMixed, 5);
  for (int i = 0; i < 10; ++i) more.Step([](bool) {});
  more.GiveAll();
  return nullptr;
}

// The child has ended what the handler interrupted.
[[noreturn]] void EndChild(Blocks& blocks) {
  blocks.CheckAll();
  static Blocks more(Sizes::kMixed, 3);
  for (int i = 0; i < 20; ++i) more.Step([](bool) {});
  pthread_t thread;
  if (pthread_create(&thread, nullptr, FreeInThread, &blocks) != 0) Fail("no thread");
  pthread_join(thread, nullptr);
  more.GiveAll();
  free(malloc(100));
  _exit(0);
}

uint64_t NowMs() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

// In a handler. Whether this is the child.
bool Fork() {
  const int saved = errno;
  const pid_t pid = fork();
  if (pid == 0) {
    in_child = true;
    signal(SIGALRM, SIG_DFL);
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, nullptr);
    const struct itimerval off = {};
    setitimer(ITIMER_REAL, &off, nullptr);
    alarm(kMostSeconds);
  } else {
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    ++forks;
    if (pid < 0 || status != 0) {
      ++failed;
      char line[100];
      const int n = snprintf(line, sizeof(line), "fork %ld: child %d, status %x\n", forks.load(), pid,
                             static_cast<unsigned>(status));
      if (write(STDERR_FILENO, line, static_cast<size_t>(n)) != n) _exit(4);
    }
  }
  errno = saved;
  return pid == 0;
}

#if defined(__x86_64__)

constexpr long kForks = 200;
// Enough for all of it but in guard builds, which fill what is freed.
constexpr long kMostSteps = 500'000;
constexpr uint64_t kMostMs = 8'000;
thread_local volatile bool stepping = false;
std::atomic<long> steps{0};
long fork_each = 0;        // 0: count only
uint64_t forks_until = 0;  // of NowMs

void Trapped(int, siginfo_t*, void* context) {
  if (!stepping) return;
  const long step = steps++;
  // Not at equal distances: the same call again and again is to be interrupted in all its parts.
  const auto mixed = static_cast<uint32_t>(step) * 2654435761u >> 8;
  const bool forks_now = fork_each != 0 && mixed % static_cast<uint32_t>(fork_each) == 0 && NowMs() < forks_until;
  if (!(forks_now && Fork()) && step < kMostSteps) return;
  stepping = false;
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

__attribute__((noinline)) void SetStepping(bool on) {
  if (in_child || (on && steps > kMostSteps)) return;
  if (on) {
    stepping = true;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
  } else {
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    stepping = false;
  }
}

// A thread's begin and its end, step by step. hakmem ends a thread's heap in the third round of destructors: this one
// runs in the second one and in the fourth.
pthread_key_t key;
thread_local int round_of_destructors = 0;
void Destroy(void* blocks) {
  if (++round_of_destructors == 4) {
    SetStepping(false);
    if (in_child) EndChild(*static_cast<Blocks*>(blocks));
    return;
  }
  pthread_setspecific(key, blocks);
  if (round_of_destructors == 2) SetStepping(true);
}

void* Stepped(void* blocks) {
  SetStepping(true);
  void* small = malloc(100);
  SetStepping(false);
  void* more[40];
  for (void*& p : more) p = malloc(1000);
  for (void* p : more) free(p);
  SetStepping(true);
  free(small);
  free(malloc(2'000'000));
  SetStepping(false);
  if (in_child) EndChild(*static_cast<Blocks*>(blocks));
  pthread_setspecific(key, blocks);
  return nullptr;
}

void StepThreads(Blocks& blocks) {
  if (pthread_key_create(&key, Destroy) != 0) Fail("no key");
  // The second one's heap is not the one that stays warm.
  for (int i = 0; i < 2; ++i) {
    pthread_t threads[2];
    for (pthread_t& thread : threads) {
      if (pthread_create(&thread, nullptr, Stepped, &blocks) != 0) Fail("no thread");
      if (i == 0) pthread_join(thread, nullptr);
    }
    for (pthread_t thread : threads) {
      if (i != 0) pthread_join(thread, nullptr);
    }
  }
}

// Slabs of a thread that sleeps: all blocks come home, so that in the child another heap could take a slab back that
// this thread is about to send to its owner.
void* FillAndSleep(void* blocks) {
  static_cast<Blocks*>(blocks)->Fill();
  stop = true;
  for (;;) pause();
}

void StepRemote(Blocks& blocks) {
  stop = false;
  pthread_t sleeper;
  if (pthread_create(&sleeper, nullptr, FillAndSleep, &blocks) != 0) Fail("no thread");
  while (!stop) usleep(100);
  blocks.GiveAll(SetStepping);
  if (in_child) EndChild(blocks);
}

void RunSteps(Sizes sizes, Blocks& blocks) {
  const auto nothing = [](bool) {};
  if (sizes == Sizes::kListed) {
    // Of each slab all blocks go home.
    blocks.Fill();
    blocks.GiveAll(SetStepping);
    blocks.Fill();
    if (in_child) EndChild(blocks);
    return;
  }
  const int before = sizes == Sizes::kSmall ? 15'000 : 200;
  for (int i = 0; i < before; ++i) blocks.Step(nothing);
  const int ops = sizes == Sizes::kSmall ? 300 : 40;
  for (int i = 0; i < ops; ++i) blocks.Step(SetStepping);
  if (sizes == Sizes::kSmall) blocks.Shrink(SetStepping);
  for (int i = 0; i < ops; ++i) blocks.Step(SetStepping);
  if (in_child) EndChild(blocks);
}

int Steps(Sizes sizes, Mode mode) {
  struct sigaction action = {};
  action.sa_sigaction = Trapped;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  static Blocks blocks(sizes, 1);
  // How many instructions are there?
  int ends[2];
  if (pipe(ends) != 0) return 2;
  const pid_t counter = fork();
  const auto run = [&] {
    if (mode == Mode::kThreads) {
      StepThreads(blocks);
    } else if (mode == Mode::kRemote) {
      StepRemote(blocks);
    } else {
      RunSteps(sizes, blocks);
    }
  };
  if (counter == 0) {
    run();
    const long n = steps;
    _exit(write(ends[1], &n, sizeof(n)) == sizeof(n) ? 0 : 1);
  }
  long n = 0;
  if (read(ends[0], &n, sizeof(n)) != sizeof(n) || n == 0) return 2;
  waitpid(counter, nullptr, 0);
  fork_each = n / kForks + 1;
  forks_until = NowMs() + kMostMs;
  run();
  return 0;
}

#endif

pthread_t workers[2];

void Rung(int) {
  if (!in_child && Fork()) ops_left = 300;
}

// Until told to stop; a child only a little longer.
void Load(Blocks& blocks) {
  const auto nothing = [](bool) {};
  for (long ops = 0; !stop || in_child; ++ops) {
    blocks.Step(nothing);
    if (ops % 20'000 == 19'999) blocks.Shrink(nothing);
    if (in_child) {
      ops_left = ops_left - 1;
      if (ops_left <= 0) EndChild(blocks);
    }
  }
  blocks.CheckAll();
}

constexpr uint64_t kMs = 1000;

void RungAt(int signal) {
  static uint64_t end = NowMs() + kMs;
  static long turn = 0;
  Rung(signal);
  if (in_child) return;
  if (NowMs() >= end) stop = true;
  if (stop) return;
  struct itimerval next = {};
  next.it_value.tv_usec = 1 + (++turn * 7919) % 150;
  setitimer(ITIMER_REAL, &next, nullptr);
}

int Timer(Sizes sizes) {
  signal(SIGALRM, RungAt);
  static Blocks blocks(sizes, 1);
  struct itimerval next = {};
  next.it_value.tv_usec = 1000;
  setitimer(ITIMER_REAL, &next, nullptr);
  Load(blocks);
  return 0;
}

void* Worker(void* opaque) {
  Load(*static_cast<Blocks*>(opaque));
  return nullptr;
}

// Two threads whose handlers fork, at once now and then, while a third forks without a handler.
int Threads() {
  signal(SIGUSR1, Rung);
  static Blocks blocks[2] = {Blocks(Sizes::kMixed, 1), Blocks(Sizes::kMiddle, 2)};
  for (int i = 0; i < 2; ++i) {
    if (pthread_create(&workers[i], nullptr, Worker, &blocks[i]) != 0) return 2;
  }
  for (const uint64_t end = NowMs() + 2 * kMs; NowMs() < end;) {
    for (pthread_t worker : workers) pthread_kill(worker, SIGUSR1);
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(kMostSeconds);
      free(malloc(2'000'000));
      _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    if (status != 0) ++failed;
  }
  stop = true;
  for (pthread_t worker : workers) pthread_join(worker, nullptr);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const Mode mode = strcmp(argv[2], "threads") == 0  ? Mode::kThreads
                    : strcmp(argv[2], "remote") == 0 ? Mode::kRemote
                                                     : Mode::kOne;
  const Sizes sizes = mode == Mode::kRemote            ? Sizes::kLone
                      : strcmp(argv[2], "small") == 0  ? Sizes::kSmall
                      : strcmp(argv[2], "listed") == 0 ? Sizes::kListed
                      : strcmp(argv[2], "middle") == 0 ? Sizes::kMiddle
                      : strcmp(argv[2], "huge") == 0   ? Sizes::kHuge
                                                       : Sizes::kMixed;
  int status;
  if (strcmp(argv[1], "timer") == 0) {
    status = mode == Mode::kThreads ? Threads() : Timer(sizes);
  } else {
#if defined(__x86_64__)
    status = Steps(sizes, mode);
#else
    status = 0;
#endif
  }
  if (getenv("FORKS") != nullptr) fprintf(stderr, "%ld forks\n", forks.load());
  if (status == 0 && failed == 0) printf("all children ended well\n");
  return status != 0 || failed != 0;
}
