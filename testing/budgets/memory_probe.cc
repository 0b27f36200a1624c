// Loads whose memory budgets.py measures from outside, through /proc.
//
// Each mode runs in phases: it prints one line with the phase's name and waits for a line on standard input. While it
// waits it does nothing at all. It uses the C library alone, so that what is measured is the allocator.
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <initializer_list>

namespace {

constexpr size_t kBurstBytes = size_t{250} * 1000 * 1000;
constexpr int kBurstThreads = 4;

void Say(const char* format, ...) __attribute__((format(printf, 1, 2)));
void Say(const char* format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (write(STDOUT_FILENO, line, static_cast<size_t>(length)) != length) _exit(1);
}

// Ends a phase: tells its name and waits until the measurement is taken.
void Phase(const char* name) {
  Say("%s\n", name);
  char answer = 0;
  if (read(STDIN_FILENO, &answer, 1) != 1) _exit(1);
}

void Check(bool condition, const char* what) {
  if (condition) return;
  Say("error: %s\n", what);
  _exit(1);
}

// Which allocator serves this process: the file that defines malloc, and what hakmem says about a block of it.
void TellWhoServes() {
  Dl_info info;
  Check(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) != 0, "malloc is nowhere");
  using OwnsFunction = int (*)(const void*);
  const auto owns = reinterpret_cast<OwnsFunction>(reinterpret_cast<uintptr_t>(dlsym(RTLD_DEFAULT, "hak_owns")));
  void* volatile block = malloc(24);
  Say("malloc %s hakmem %d\n", info.dli_fname, owns != nullptr && owns(block) != 0 ? 1 : 0);
  free(block);
}

// Memory for the probe's own tables, which must not come from the allocator that is measured.
void** Table(size_t count) {
  void* const table = mmap(nullptr, count * sizeof(void*), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Check(table != MAP_FAILED, "no memory for a table");
  return static_cast<void**>(table);
}

// Sizes of a program's small blocks: 16 to 512 bytes, the short ones more often.
size_t SmallSize(uint64_t* state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  const uint64_t bits = *state >> 33;
  return 16 + bits % (size_t{16} << (bits >> 20) % 6);
}

struct Burst {
  void** blocks;
  size_t count;
  size_t capacity;
};

Burst NewBurst(size_t bytes) {
  const size_t capacity = bytes / 16;
  return {Table(capacity), 0, capacity};
}

void DropTable(Burst* burst) { munmap(burst->blocks, burst->capacity * sizeof(void*)); }

void Fill(Burst* burst, size_t bytes, uint64_t seed) {
  for (size_t taken = 0; taken < bytes && burst->count < burst->capacity;) {
    const size_t size = SmallSize(&seed);
    void* const block = malloc(size);
    Check(block != nullptr, "malloc failed");
    memset(block, 0x5a, size);
    burst->blocks[burst->count++] = block;
    taken += size;
  }
}

void FreeAll(Burst* burst) {
  for (size_t i = 0; i < burst->count; ++i) free(burst->blocks[i]);
  DropTable(burst);
}

void SleepMilliseconds(long milliseconds) {
  const timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, nullptr);
}

int Idle() {
  Phase("idle");
  return 0;
}

// 250 MB in small blocks by one thread, freed by it.
int OwnBurst() {
  Phase("start");
  for (int round = 0; round < 3; ++round) {
    Burst burst = NewBurst(kBurstBytes);
    Fill(&burst, kBurstBytes, 42 + round);
    Phase("full");
    FreeAll(&burst);
    Phase("freed");
    SleepMilliseconds(1200);
    Phase("slept");
  }
  return 0;
}

void* FillShare(void* argument) {
  auto* const burst = static_cast<Burst*>(argument);
  Fill(burst, kBurstBytes / kBurstThreads, reinterpret_cast<uintptr_t>(argument));
  return nullptr;
}

void* FreeShares(void* argument) {
  auto* const bursts = static_cast<Burst*>(argument);
  for (int i = 0; i < kBurstThreads; ++i) FreeAll(&bursts[i]);
  return nullptr;
}

// The same by threads that have exited when the blocks are freed: by the main thread, then by a new one.
int ExitedBurst() {
  Phase("start");
  for (int round = 0; round < 2; ++round) {
    Burst bursts[kBurstThreads];
    pthread_t threads[kBurstThreads];
    for (int i = 0; i < kBurstThreads; ++i) {
      bursts[i] = NewBurst(kBurstBytes / kBurstThreads);
      Check(pthread_create(&threads[i], nullptr, FillShare, &bursts[i]) == 0, "no thread");
    }
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
    Phase("full");
    if (round == 0) {
      FreeShares(bursts);
    } else {
      pthread_t thread;
      Check(pthread_create(&thread, nullptr, FreeShares, bursts) == 0, "no thread");
      pthread_join(thread, nullptr);
    }
    Phase("freed");
    SleepMilliseconds(1200);
    Phase("slept");
  }
  return 0;
}

pthread_barrier_t pool_barrier;

void* BurstInPool(void* argument) {
  auto* const bursts = static_cast<Burst*>(argument);
  Burst burst = NewBurst(kBurstBytes / kBurstThreads);
  Fill(&burst, kBurstBytes / kBurstThreads, reinterpret_cast<uintptr_t>(argument));
  *bursts = burst;
  pthread_barrier_wait(&pool_barrier);  // all full
  pthread_barrier_wait(&pool_barrier);  // measured
  FreeAll(&burst);
  pthread_barrier_wait(&pool_barrier);  // all freed
  pthread_barrier_wait(&pool_barrier);  // measured: the thread lives on until then
  return nullptr;
}

// A burst in the threads of a pool, which live on and do nothing.
int PoolBurst() {
  Phase("start");
  Burst bursts[kBurstThreads];
  pthread_t threads[kBurstThreads];
  pthread_barrier_init(&pool_barrier, nullptr, kBurstThreads + 1);
  for (int i = 0; i < kBurstThreads; ++i) {
    Check(pthread_create(&threads[i], nullptr, BurstInPool, &bursts[i]) == 0, "no thread");
  }
  pthread_barrier_wait(&pool_barrier);
  Phase("full");
  pthread_barrier_wait(&pool_barrier);
  pthread_barrier_wait(&pool_barrier);
  Phase("freed");
  SleepMilliseconds(1200);
  Phase("slept");
  pthread_barrier_wait(&pool_barrier);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  return 0;
}

// What the threads of a pool have allocated, freed by the main thread while they sleep: blocks of one size after the
// other, each by a thread of its own.
constexpr size_t kLeftBytes = size_t{64} << 20;
struct Left {
  size_t size;
  size_t count;
  void** blocks;
};

void* FillAndSleep(void* argument) {
  const auto* const left = static_cast<Left*>(argument);
  const auto allocate = [left](size_t i) {
    left->blocks[i] = malloc(left->size);
    Check(left->blocks[i] != nullptr, "malloc failed");
    memset(left->blocks[i], 1, left->size);
  };
  for (size_t i = 0; i < left->count; ++i) allocate(i);
  // Half of them once more: slabs are full not for the first time.
  for (size_t i = 0; i < left->count; i += 2) free(left->blocks[i]);
  for (size_t i = 0; i < left->count; i += 2) allocate(i);
  pthread_barrier_wait(&pool_barrier);
  pause();
  return nullptr;
}

int LeftBurst() {
  free(malloc(1));  // as programs have: the main thread allocates, too
  pthread_barrier_init(&pool_barrier, nullptr, 2);
  Phase("start");
  for (const size_t size : {size_t{1000}, size_t{8192}, size_t{200000}}) {
    Left left = {size, kLeftBytes / size, Table(kLeftBytes / size)};
    pthread_t thread;
    Check(pthread_create(&thread, nullptr, FillAndSleep, &left) == 0, "no thread");
    pthread_barrier_wait(&pool_barrier);
    Say("size %zu\n", size);
    Phase("full");
    for (size_t i = 0; i < left.count; ++i) free(left.blocks[i]);
    munmap(left.blocks, left.count * sizeof(void*));
    SleepMilliseconds(1000);
    Phase("slept");
  }
  return 0;
}

pthread_barrier_t thread_barrier;
bool threads_allocate = true;

void* AllocateTwice(void*) {
  if (threads_allocate) {
    // Volatile, or the compiler sees that nobody reads the blocks and does without them.
    void* volatile first = malloc(24);
    void* volatile second = malloc(100);
    Check(first != nullptr && second != nullptr, "malloc failed");
    memset(first, 1, 24);
    memset(second, 1, 100);
  }
  pthread_barrier_wait(&thread_barrier);
  pause();
  return nullptr;
}

void StartThreads(int count) {
  pthread_barrier_init(&thread_barrier, nullptr, static_cast<unsigned>(count) + 1);
  for (int i = 0; i < count; ++i) {
    pthread_t thread;
    Check(pthread_create(&thread, nullptr, AllocateTwice, nullptr) == 0, "no thread");
  }
  pthread_barrier_wait(&thread_barrier);
}

// Many threads that live, each with two small blocks; the difference between the phases is 200 threads.
int Threads(bool allocate) {
  threads_allocate = allocate;
  StartThreads(40);
  Phase("40 threads");
  StartThreads(200);
  Phase("240 threads");
  return 0;
}

constexpr size_t kRing = 4096;
std::atomic<void*> ring[kRing];
std::atomic<bool> pair_stop;
std::atomic<uint64_t> pair_passed;

void* Produce(void*) {
  uint64_t state = 7;
  for (size_t at = 0; !pair_stop.load(std::memory_order_relaxed); at = (at + 1) % kRing) {
    const size_t size = SmallSize(&state);
    void* const block = malloc(size);
    Check(block != nullptr, "malloc failed");
    memset(block, 1, size < 64 ? size : 64);
    while (ring[at].load(std::memory_order_relaxed) != nullptr) {
      if (pair_stop.load(std::memory_order_relaxed)) return nullptr;
      sched_yield();
    }
    ring[at].store(block, std::memory_order_release);
  }
  return nullptr;
}

void* Consume(void*) {
  uint64_t passed = 0;
  for (size_t at = 0; !pair_stop.load(std::memory_order_relaxed); at = (at + 1) % kRing) {
    void* block = nullptr;
    while ((block = ring[at].load(std::memory_order_acquire)) == nullptr) {
      if (pair_stop.load(std::memory_order_relaxed)) return nullptr;
      sched_yield();
    }
    ring[at].store(nullptr, std::memory_order_relaxed);
    free(block);
    pair_passed.store(++passed, std::memory_order_relaxed);
  }
  return nullptr;
}

// A producer and a consumer with at most 4096 blocks between them; it runs on while it is measured.
int Pair() {
  pthread_t producer;
  pthread_t consumer;
  Check(pthread_create(&producer, nullptr, Produce, nullptr) == 0, "no thread");
  Check(pthread_create(&consumer, nullptr, Consume, nullptr) == 0, "no thread");
  for (int second = 0; second < 6; ++second) {
    SleepMilliseconds(1000);
    Say("passed %llu\n", static_cast<unsigned long long>(pair_passed.load(std::memory_order_relaxed)));
    Phase("running");
  }
  pair_stop = true;
  pthread_join(producer, nullptr);
  pthread_join(consumer, nullptr);
  return 0;
}

// `bytes` bytes in blocks of each of the sizes, one size after the other; of a block `touched` bytes at most are
// written.
int OneSizeAtATime(std::initializer_list<size_t> sizes, size_t bytes, size_t touched) {
  Phase("start");
  for (const size_t size : sizes) {
    const size_t count = bytes / size;
    void** const blocks = Table(count);
    for (size_t i = 0; i < count; ++i) {
      blocks[i] = malloc(size);
      Check(blocks[i] != nullptr, "malloc failed");
      memset(blocks[i], 1, size < touched ? size : touched);
    }
    Say("size %zu blocks %zu\n", size, count);
    Phase("touched");
    for (size_t i = 0; i < count; ++i) free(blocks[i]);
    munmap(blocks, count * sizeof(void*));
    malloc_trim(0);
    Phase("freed");
  }
  return 0;
}

// As buffers of connections that idle.
int Sparse() {
  return OneSizeAtATime({size_t{16} << 10, size_t{64} << 10, size_t{256} << 10, size_t{1000000}, size_t{10} << 20},
                        size_t{256} << 20, 64);
}

// As tiles of an image: blocks of a single size, a little above those of size classes, which may fill huge pages badly.
int Filled() {
  return OneSizeAtATime(
      {1100, 5200, 13'000, 33'000, 66'000, 135'000, 170'000, 265'000, 330'000, 400'000, 525'000, 660'000, 800'000},
      size_t{100} << 20, SIZE_MAX);
}

// Buffers of a server: four threads that hold eight each of 100 KB to 3 MB, and take another one for each that they
// free.
constexpr size_t kServed = 15'000;
void* Serve(void* seed) {
  auto random = reinterpret_cast<uintptr_t>(seed);
  char* buffers[8] = {};
  for (size_t i = 0; i < kServed; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    char*& buffer = buffers[(random >> 40) % 8];
    free(buffer);
    const size_t size = 100'000 + (random >> 33) % (i % 4 == 0 ? 2'900'000 : 400'000);
    buffer = static_cast<char*>(malloc(size));
    Check(buffer != nullptr, "malloc failed");
    for (size_t at = 0; at < size; at += 4096) buffer[at] = 1;
  }
  for (char* buffer : buffers) free(buffer);
  return nullptr;
}

int Served() {
  pthread_t threads[4];
  for (size_t i = 0; i < 4; ++i) {
    Check(pthread_create(&threads[i], nullptr, Serve, reinterpret_cast<void*>(i)) == 0, "no thread");
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  Phase("ended");
  return 0;
}

// The least distance between neighbours among many blocks of one size: what a block really takes.
size_t Stride(size_t size) {
  constexpr size_t kBlocks = 512;
  void* blocks[kBlocks];
  for (void*& block : blocks) block = malloc(size);
  size_t least = SIZE_MAX;
  for (const void* const a : blocks) {
    for (const void* const b : blocks) {
      const auto low = reinterpret_cast<uintptr_t>(a);
      const auto high = reinterpret_cast<uintptr_t>(b);
      if (high > low && high - low < least) least = high - low;
    }
  }
  for (void* const block : blocks) free(block);
  return least;
}

// For sizes above 128 bytes, one past each size class among them: size, usable size, distance between neighbours.
int Waste() {
  size_t last_usable = 0;
  for (size_t size = 129; size <= size_t{16} << 20;) {
    void* const block = malloc(size);
    const size_t usable = malloc_usable_size(block);
    free(block);
    Check(usable >= size, "a block is smaller than its size");
    // Only the first size of a class is of interest: it wastes most.
    if (usable != last_usable) Say("size %zu usable %zu stride %zu\n", size, usable, size <= 32768 ? Stride(size) : 0);
    last_usable = usable;
    // A class that ends here begins one past it; sizes of own mappings are sampled.
    size = usable + 1 > size + size / 64 ? usable + 1 : size + size / 64 + 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const mode = argc == 2 ? argv[1] : "";
  TellWhoServes();
  if (strcmp(mode, "idle") == 0) return Idle();
  if (strcmp(mode, "own-burst") == 0) return OwnBurst();
  if (strcmp(mode, "exited-burst") == 0) return ExitedBurst();
  if (strcmp(mode, "pool-burst") == 0) return PoolBurst();
  if (strcmp(mode, "left-burst") == 0) return LeftBurst();
  if (strcmp(mode, "threads") == 0) return Threads(true);
  if (strcmp(mode, "bare-threads") == 0) return Threads(false);
  if (strcmp(mode, "pair") == 0) return Pair();
  if (strcmp(mode, "sparse") == 0) return Sparse();
  if (strcmp(mode, "filled") == 0) return Filled();
  if (strcmp(mode, "served") == 0) return Served();
  if (strcmp(mode, "waste") == 0) return Waste();
  fprintf(stderr,
          "usage: memory_probe idle|own-burst|exited-burst|pool-burst|left-burst|threads|bare-threads|pair|sparse|"
          "filled|served|waste\n");
  return 2;
}
