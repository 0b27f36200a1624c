// A program whose calls are recorded: program WHAT [ARGUMENT]. It uses hakmem under its hak_ names, so that nothing
// else is in the recording.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <hakmem/hakmem.h>

namespace {

int Fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  return 1;
}

void Print(const char* call, const void* p, size_t size, size_t alignment_log2 = 0) {
  printf("%s %lx %zu %zu\n", call, reinterpret_cast<unsigned long>(p), size, alignment_log2);
}

// `count` blocks, kept, of sizes from `first` on, and from 1 again after 2000.
void Allocate(size_t count, size_t first) {
  for (size_t i = 0; i < count; ++i) {
    if (hak_malloc((first + i - 1) % 2000 + 1) == nullptr) abort();
  }
}

// One of each, printed as it has to be found.
int Calls() {
  void* p = hak_malloc(100);
  Print("malloc", p, 100);
  void* q = hak_calloc(3, 50);
  Print("calloc", q, 150);
  Print("lift", p, 5000);
  p = hak_realloc(p, 5000);
  Print("lower", p, 5000);
  Print("lift", p, 4900);
  p = hak_realloc(p, 4900);
  Print("lower", p, 4900);
  void* huge = hak_malloc(5 << 20);
  Print("malloc", huge, 5 << 20);
  Print("lift", huge, 64 << 20);
  huge = hak_realloc(huge, 64 << 20);
  Print("lower", huge, 64 << 20);
  void* a = hak_aligned_alloc(256, 512);
  Print("aligned_alloc", a, 512, 8);
  void* m = hak_memalign(8, 24);
  Print("memalign", m, 24, 4);
  void* v = nullptr;
  if (hak_posix_memalign(&v, 8, 40) != 0) return Fail("posix_memalign");
  Print("posix_memalign", v, 40, 3);
  void* page = hak_valloc(10);
  Print("memalign", page, 10, static_cast<size_t>(__builtin_ctzl(static_cast<unsigned long>(getpagesize()))));
  void* from_null = hak_realloc(nullptr, 77);
  Print("malloc", from_null, 77);
  hak_free(nullptr);
  if (hak_malloc(SIZE_MAX / 2) != nullptr) return Fail("malloc of everything");
  if (hak_realloc(from_null, size_t{1} << 60) != nullptr) return Fail("realloc to nearly everything");
  hak_free_sized(a, 512);
  Print("free_sized", a, 512);
  hak_free_aligned_sized(v, 8, 40);
  Print("free_sized", v, 40, 3);
  hak_realloc(from_null, 0);
  Print("free", from_null, 0);
  for (void* block : {q, p, huge, m, page}) {
    hak_free(block);
    Print("free", block, 0);
  }
  hak_trim(12345);
  Print("trim", nullptr, 12345);
  // A list that is used again and again: what was freed lately serves.
  for (int i = 0; i < 100; ++i) {
    void* block = hak_malloc(32);
    Print("malloc", block, 32);
    hak_free(block);
    Print("free", block, 0);
  }
  return 0;
}

// Threads that hand blocks on through slots that all share.
int Exchange() {
  constexpr int kThreads = 4;
  constexpr int kRounds = 30000;
  constexpr int kSlots = 64;
  static std::atomic<void*> slots[kSlots];
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t] {
      uint64_t random = static_cast<uint64_t>(t) * 7919 + 12345;
      for (int i = 0; i < kRounds; ++i) {
        if (i % 512 == 0) sched_yield();  // also where there is one core; on a busy one each yield costs a time slice
        random = random * 6364136223846793005u + 1442695040888963407u;
        const size_t size = 1 + (random >> 33) % ((random >> 60) == 0 ? 100000 : 300);
        void* mine = hak_malloc(size);
        void* before = slots[(random >> 20) % kSlots].exchange(mine, std::memory_order_acq_rel);  // passes a block on
        if ((random >> 50) % 4 == 0 && before != nullptr) {
          hak_free(hak_realloc(before, size + 700));
        } else {
          hak_free(before);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::atomic<void*>& slot : slots) hak_free(slot.load(std::memory_order_relaxed));  // one thread
  printf("%d\n", kThreads);
  return 0;
}

// Ends somehow after 10000 allocations of sizes 1, 2, ...
int End(const std::string& how) {
  Allocate(10000, 1);
  if (how == "segv") raise(SIGSEGV);
  if (how == "kill") raise(SIGKILL);
  if (how == "abort") abort();
  if (how == "_exit") _exit(3);
  return 3;
}

// Is killed from outside at any moment; tells through a file how far it has come.
int Endless(const char* path) {
  const int fd = open(path, O_RDWR);
  auto* done = static_cast<std::atomic<uint64_t>*>(mmap(nullptr, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  if (done == MAP_FAILED) return Fail(path);
  for (uint64_t i = 1;; ++i) {
    void* p = hak_malloc(i % 1000 + 1);
    done->store(2 * i - 1, std::memory_order_release);  // the call before it is done
    hak_free(p);
    done->store(2 * i, std::memory_order_release);  // as above
  }
}

int Fork(bool raw) {
  Allocate(10, 1);
  const long child = raw ? syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr) : fork();
  if (child == 0) {
    Allocate(7, 501);
    _exit(0);
  }
  int status = -1;
  if (waitpid(static_cast<pid_t>(child), &status, 0) != child || status != 0) return Fail("the child");
  Allocate(5, 11);
  printf("%ld\n", child);
  return 0;
}

// A file that the program may not let grow any more.
int Limit() {
  const rlimit limit = {300 << 10, 300 << 10};
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return Fail("setrlimit");
  Allocate(40000, 1);
  return 0;
}

// Closes what it does not know, opens files of its own, and goes elsewhere.
int Daemon(const char* path) {
  Allocate(1000, 1);
  for (int fd = 3; fd < 256; ++fd) close(fd);
  for (int i = 0; i < 20; ++i) {
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0) return Fail(path);
    if (i == 0 && write(fd, "mine", 4) != 4) return Fail(path);
  }
  if (chdir("/") != 0) return Fail("/");
  Allocate(39000, 1001);
  return 0;
}

// Replaced by another program of the same process.
int Exec(char** argv) {
  Allocate(100, 1);
  argv[1] = const_cast<char*>("few");
  execv(argv[0], argv);
  return Fail(argv[0]);
}

// A destructor that runs after the heap's end, and one that runs before.
pthread_key_t early_key;
pthread_key_t late_key;
void EarlyDestructor(void* p) { hak_free(p); }
void LateDestructor(void* p) {
  static __thread int rounds = 0;
  // The round in which the heap ends: its key is older, so that it went first. (In the last one the thread sanitizer is
  // gone.)
  if (++rounds < 3) {
    pthread_setspecific(late_key, p);
    return;
  }
  hak_free(p);
  hak_free(hak_malloc(88));
}

int ThreadEnd() {
  hak_free(hak_malloc(1));
  pthread_key_create(&early_key, EarlyDestructor);
  pthread_key_create(&late_key, LateDestructor);
  for (int i = 0; i < 3; ++i) {
    std::thread([] {
      pthread_setspecific(early_key, hak_malloc(66));
      pthread_setspecific(late_key, hak_malloc(77));
    }).join();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const char* argument = argc > 2 ? argv[2] : "";
  if (what == "calls") return Calls();
  if (what == "exchange") return Exchange();
  if (what == "end") return End(argument);
  if (what == "endless") return Endless(argument);
  if (what == "fork") return Fork(false);
  if (what == "raw-fork") return Fork(true);
  if (what == "limit") return Limit();
  if (what == "daemon") return Daemon(argument);
  if (what == "exec") return Exec(argv);
  if (what == "few") return Allocate(3, 901), 0;
  if (what == "thread-end") return ThreadEnd();
  fprintf(stderr, "usage: program WHAT [ARGUMENT]\n");
  return 2;
}
