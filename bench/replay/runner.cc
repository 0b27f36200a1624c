#include "bench/replay/runner.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/measure.h"
#include "testing/op_stream/progress.h"

namespace hakmem::bench {
namespace {

using op_stream::Allocator;
using op_stream::Progress;

constexpr size_t kBuffered = 1024;  // events
constexpr size_t kPage = 4096;

struct Slot {
  void* block;
  size_t size;
};

struct Barrier {
  std::atomic<uint32_t> arrived;
  Progress open;
};

[[noreturn]] void NoResource(const char* what, int error) {
  fprintf(stderr, "replay: %s: %s\n", what, strerror(error));
  _exit(kExitNoResource);
}

[[noreturn]] void Damaged(const char* what, const void* block, size_t size) {
  fprintf(stderr, "replay: block %p of %zu bytes: %s\n", block, size, what);
  _exit(kExitDamaged);
}

// Zeroed, and resident already: what is measured later is the heap's.
template <class T>
T* Map(size_t count) {
  const size_t bytes = std::max<size_t>(count, 1) * sizeof(T);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) NoResource("a table of the replay cannot be had", errno);
  return static_cast<T*>(at);
}

template <class T>
void Unmap(T* table, size_t count) {
  munmap(table, std::max<size_t>(count, 1) * sizeof(T));
}

// Bytes of anonymous memory that are resident.
class ResidentMeter {
 public:
  ResidentMeter() : file_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)), page_(sysconf(_SC_PAGESIZE)) {}
  ~ResidentMeter() { close(file_); }

  uint64_t Bytes() const {
    char text[128] = {};
    unsigned long long size = 0;
    unsigned long long resident = 0;
    unsigned long long shared = 0;
    if (pread(file_, text, sizeof(text) - 1, 0) <= 0) return 0;
    if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3) return 0;
    return (resident - std::min(shared, resident)) * static_cast<uint64_t>(page_);
  }

 private:
  const int file_;
  const long page_;
};

void Touch(void* block, size_t size) {
  StampBlock(block, size);
  auto* bytes = static_cast<volatile unsigned char*>(block);
  for (size_t at = kPage; at + kPage < size; at += kPage) bytes[at] = 1;
}

void CheckAlignment(const void* block, size_t alignment, size_t size) {
  if (reinterpret_cast<uintptr_t>(block) % alignment != 0) Damaged("it is not aligned as asked for", block, size);
}

void CheckZeroes(const void* block, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != 0) Damaged("calloc left a byte that is not zero", block, size);
  }
}

// What StampBlock wrote at the front of the old block is at the front of the new one.
void CheckPrefix(const void* old, size_t old_size, const void* block, size_t size) {
  const uint64_t word = BlockWord(old, old_size);
  bool kept = true;
  if (old_size >= sizeof(word) && size >= sizeof(word)) {
    kept = memcmp(block, &word, sizeof(word)) == 0;
  } else if (old_size > 0 && old_size < sizeof(word) && size > 0) {
    kept = *static_cast<const unsigned char*>(block) == static_cast<unsigned char>(word >> 32);
  }
  if (!kept) Damaged("realloc did not keep its contents", block, size);
}

}  // namespace

struct Runner::Shared {
  struct Thread {
    Progress done;
    pthread_mutex_t starting;
    pthread_t handle;
    bool joinable;  // with `handle`, guarded by `starting`
    Shared* shared;
    uint32_t number;
    uint32_t life;  // that is about to begin
    Slot* slots;
    Event* events;
  };

  const Program* program;
  const Allocator* allocator;
  RunOptions options;
  Slot* slots;
  Event* events;
  Thread* threads;
  Barrier* barriers;
  ResidentMeter* meter;
  uint64_t resident_before;
  double start;

  static void* Main(void* argument) {
    auto* thread = static_cast<Thread*>(argument);
    thread->shared->RunLife(thread, thread->life);
    return nullptr;
  }

  void RunLife(Thread* thread, uint32_t life) {
    options.check ? RunEvents<true>(thread, program->life(thread->number, life))
                  : RunEvents<false>(thread, program->life(thread->number, life));
  }

  // --- single events

  void Start(uint32_t number, uint32_t life) {
    Thread& thread = threads[number];
    // Whoever began the life before may not have stored its handle yet: the lock is held until it has.
    thread.done.WaitFor(program->life(number, life).steps_before);
    pthread_mutex_lock(&thread.starting);
    if (thread.joinable) pthread_join(thread.handle, nullptr);
    thread.life = life;
    const int error = pthread_create(&thread.handle, nullptr, &Main, &thread);
    if (error != 0) NoResource("a thread cannot be started", error);
    thread.joinable = true;
    pthread_mutex_unlock(&thread.starting);
  }

  void Meet(uint32_t number) {
    Barrier& barrier = barriers[number];
    // Acquire and release: everything before the barrier happens before everything after it.
    if (barrier.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == program->barrier(number)) {
      barrier.open.Set(1, true);
    } else {
      barrier.open.WaitFor(1);
    }
  }

  static void Fork() {
    const pid_t child = fork();
    if (child == 0) syscall(SYS_exit_group, 0);
    while (child > 0 && waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  }

  void Measure(uint32_t point) {
    if (options.samples == nullptr) return;
    const uint64_t resident = meter->Bytes();
    options.samples[point] = {resident - std::min(resident, resident_before), WallSeconds() - start};
  }

  template <bool kCheck>
  void Put(Slot* slot, void* block, size_t size, size_t alignment) {
    if (__builtin_expect(block == nullptr && size != 0, 0)) ReportNoMemory(size);
    if (kCheck) CheckAlignment(block, alignment, size);
    *slot = {block, size};
    if (block != nullptr) Touch(block, size);
  }

  template <bool kCheck>
  static void CheckAtFree(const Slot& slot) {
    if (kCheck && slot.block != nullptr) CheckBlock(slot.block, slot.size);
  }

  template <bool kCheck>
  void Free(Slot* slot) {
    CheckAtFree<kCheck>(*slot);
    allocator->free(slot->block);
    slot->block = nullptr;
  }

  template <bool kCheck>
  void FreeSized(Slot* slot) {
    if (allocator->free_sized == nullptr) return Free<kCheck>(slot);
    CheckAtFree<kCheck>(*slot);
    allocator->free_sized(slot->block, slot->size);
    slot->block = nullptr;
  }

  template <bool kCheck>
  void FreeAlignedSized(Slot* slot, size_t alignment) {
    if (allocator->free_aligned_sized == nullptr) return Free<kCheck>(slot);
    CheckAtFree<kCheck>(*slot);
    allocator->free_aligned_sized(slot->block, alignment, slot->size);
    slot->block = nullptr;
  }

  template <bool kCheck>
  void Resize(Slot* slot, size_t size) {
    if (slot->block != nullptr && size == 0) {
      Free<kCheck>(slot);
      return;
    }
    if (kCheck && slot->block != nullptr) CheckBlock(slot->block, slot->size);
    void* const block = allocator->realloc(slot->block, size);
    if (kCheck && slot->block != nullptr && block != nullptr) CheckPrefix(slot->block, slot->size, block, size);
    Put<kCheck>(slot, block, size, 1);
  }

  template <bool kCheck>
  void RunEvents(Thread* thread, const Life& life) {
    size_t high = 0;  // of a size beyond 4 GiB
    for (uint64_t at = life.begin; at < life.end;) {
      const size_t count = program->ReadEvents(at, std::min<uint64_t>(kBuffered, life.end - at), thread->events);
      if (count == 0) NoResource("the compiled program cannot be read", EIO);
      at += count;
      for (size_t i = 0; i < count; ++i) {
        const Event event = thread->events[i];
        Slot* const slot = &thread->slots[event.slot];
        const size_t size = high | event.size;
        const size_t alignment = size_t{1} << event.alignment_log2;
        high = 0;
        switch (static_cast<Code>(event.code)) {
          case Code::kMalloc: Put<kCheck>(slot, allocator->malloc(size), size, 1); break;
          case Code::kCalloc: {
            void* const block = allocator->calloc(1, size);
            if (kCheck && block != nullptr) CheckZeroes(block, size);
            Put<kCheck>(slot, block, size, 1);
            break;
          }
          case Code::kRealloc: Resize<kCheck>(slot, size); break;
          case Code::kAlignedAlloc: {
            // A sanitizer takes multiples of the alignment alone.
            const size_t asked = allocator->aligned_alloc_multiple ? (size + alignment - 1) & -alignment : size;
            Put<kCheck>(slot, allocator->aligned_alloc(alignment, asked), size, alignment);
            break;
          }
          case Code::kPosixMemalign: {
            void* block = nullptr;
            if (allocator->posix_memalign(&block, std::max(alignment, sizeof(void*)), size) != 0) block = nullptr;
            Put<kCheck>(slot, block, size, alignment);
            break;
          }
          case Code::kMemalign: Put<kCheck>(slot, allocator->memalign(alignment, size), size, alignment); break;
          case Code::kFree: Free<kCheck>(slot); break;
          case Code::kFreeSized: FreeSized<kCheck>(slot); break;
          case Code::kFreeAlignedSized: FreeAlignedSized<kCheck>(slot, alignment); break;
          case Code::kUsableSize: {
            const size_t usable = slot->block != nullptr ? allocator->usable_size(slot->block) : slot->size;
            if (kCheck && usable < slot->size) Damaged("its usable size is smaller than asked for", slot->block, size);
            break;
          }
          case Code::kFill:
            if (slot->block == nullptr) break;
            memset(slot->block, static_cast<int>(size), slot->size);
            StampBlock(slot->block, slot->size);
            break;
          case Code::kCheck:
            if (slot->block != nullptr) CheckBlock(slot->block, slot->size);
            break;
          case Code::kHand:
            slots[size] = *slot;
            slot->block = nullptr;
            break;
          case Code::kStart: Start(event.slot, event.size); break;
          case Code::kTrim:
            if (allocator->trim != nullptr) allocator->trim(size);
            break;
          case Code::kFork: Fork(); break;
          case Code::kBarrier: Meet(event.size); break;
          case Code::kWait: threads[event.slot].done.WaitFor(event.size); break;
          case Code::kDone: thread->done.Set(event.size, true); break;
          case Code::kLarge: high = size << 32; break;
          case Code::kSample: Measure(event.size); break;
        }
      }
    }
  }
};

Runner::Runner(const Program& program, const op_stream::Allocator& allocator) {
  const ProgramHeader& header = program.header();
  shared_ = new (Map<Shared>(1)) Shared{};
  shared_->program = &program;
  shared_->allocator = &allocator;
  shared_->slots = Map<Slot>(header.slots);
  shared_->events = Map<Event>(header.threads * kBuffered);
  shared_->threads = Map<Shared::Thread>(header.threads);
  shared_->barriers = Map<Barrier>(header.barriers);
  shared_->meter = new (Map<ResidentMeter>(1)) ResidentMeter;
  for (uint32_t t = 0; t < header.threads; ++t) {
    Shared::Thread& thread = shared_->threads[t];
    thread.starting = PTHREAD_MUTEX_INITIALIZER;
    thread.shared = shared_;
    thread.number = t;
    thread.slots = shared_->slots + program.thread(t).first_slot;
    thread.events = shared_->events + size_t{t} * kBuffered;
  }
}

Runner::~Runner() {
  const ProgramHeader& header = shared_->program->header();
  shared_->meter->~ResidentMeter();
  Unmap(shared_->meter, 1);
  Unmap(shared_->barriers, header.barriers);
  Unmap(shared_->threads, header.threads);
  Unmap(shared_->events, header.threads * kBuffered);
  Unmap(shared_->slots, header.slots);
  Unmap(shared_, 1);
}

void Runner::Run(const RunOptions& options) {
  Shared& shared = *shared_;
  const ProgramHeader& header = shared.program->header();
  shared.options = options;
  // Relaxed: no thread runs yet, and starting one orders all that was before.
  for (uint32_t t = 0; t < header.threads; ++t) shared.threads[t].done.value.store(0, std::memory_order_relaxed);
  for (uint32_t i = 0; i < header.barriers; ++i) {
    shared.barriers[i].arrived.store(0, std::memory_order_relaxed);     // see above
    shared.barriers[i].open.value.store(0, std::memory_order_relaxed);  // see above
  }
  shared.resident_before = shared.meter->Bytes();
  shared.start = WallSeconds();
  shared.RunLife(&shared.threads[0], 0);
  // A thread may be started by one that is still at work: first all steps, then nobody starts any more.
  for (uint32_t t = 1; t < header.threads; ++t) {
    const uint32_t lives = shared.program->thread(t).lives;
    if (lives != 0) shared.threads[t].done.WaitFor(shared.program->life(t, lives - 1).steps_after);
  }
  for (uint32_t t = 1; t < header.threads; ++t) {
    Shared::Thread& thread = shared.threads[t];
    pthread_mutex_lock(&thread.starting);
    if (thread.joinable) pthread_join(thread.handle, nullptr);
    thread.joinable = false;
    pthread_mutex_unlock(&thread.starting);
  }
  for (uint64_t i = 0; i < header.slots; ++i) {
    if (shared.slots[i].block == nullptr) continue;
    options.check ? shared.Free<true>(&shared.slots[i]) : shared.Free<false>(&shared.slots[i]);
  }
}

}  // namespace hakmem::bench
