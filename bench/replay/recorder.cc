// A library to preload: writes every call of malloc, free and their relatives to a file, HAKMEM_RECORD.PID, and leaves
// the work to the C library. Programs that the recorded one starts write files of their own.
//
// Events stand in the order in which the calls ended, except that a free stands where it began: otherwise another
// thread could be seen to get a block before it was given back.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/replay/trace.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);
}

namespace hakmem::bench {
namespace {

constexpr size_t kBuffered = 4096;

// Constant-initialised, as malloc is called before constructors run.
std::atomic_flag locked = ATOMIC_FLAG_INIT;
RawEvent buffer[kBuffered];
size_t buffered = 0;
int file = -2;  // -2: not opened yet, -1: not recording

class Lock {
 public:
  Lock() {
    while (locked.test_and_set(std::memory_order_acquire)) sched_yield();  // pairs with the release below
  }
  ~Lock() { locked.clear(std::memory_order_release); }  // publishes the buffer to the next holder
};

void Open() {
  file = -1;
  const char* path = getenv("HAKMEM_RECORD");
  if (path == nullptr) return;
  char name[4096];
  const int length = snprintf(name, sizeof(name), "%s.%d", path, static_cast<int>(getpid()));
  if (length < 0 || static_cast<size_t>(length) >= sizeof(name)) return;
  file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

void Flush() {
  const auto* bytes = reinterpret_cast<const char*>(buffer);
  size_t left = buffered * sizeof(RawEvent);
  buffered = 0;
  while (left > 0) {
    const ssize_t written = write(file, bytes, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      file = -1;  // a full disk ends the recording, not the program
      return;
    }
    bytes += written;
    left -= static_cast<size_t>(written);
  }
}

void Record(Op op, size_t size, const void* result, uint64_t before) {
  const int saved = errno;
  {
    Lock lock;
    if (file == -2) Open();
    if (file >= 0) {
      buffer[buffered++] = RawEvent::Make(op, size, reinterpret_cast<uintptr_t>(result), before);
      if (buffered == kBuffered) Flush();
    }
  }
  errno = saved;
}

// In a forked child the parent's events are not repeated; the child writes a file of its own.
void AfterForkInChild() {
  locked.clear();
  buffered = 0;
  if (file >= 0) close(file);
  file = -2;
}

__attribute__((constructor)) void Start() { pthread_atfork(nullptr, nullptr, &AfterForkInChild); }

__attribute__((destructor)) void End() {
  Lock lock;
  if (file >= 0) Flush();
}

void* RecordAligned(size_t alignment, size_t size) {
  void* block = __libc_memalign(alignment, size);
  if (block != nullptr) Record(Op::kAligned, size, block, alignment);
  return block;
}

}  // namespace
}  // namespace hakmem::bench

using hakmem::bench::Op;
using hakmem::bench::Record;
using hakmem::bench::RecordAligned;

extern "C" {

__attribute__((visibility("default"))) void* malloc(size_t size) {
  void* block = __libc_malloc(size);
  if (block != nullptr) Record(Op::kMalloc, size, block, 0);
  return block;
}

__attribute__((visibility("default"))) void* calloc(size_t count, size_t size) {
  void* block = __libc_calloc(count, size);
  if (block != nullptr) Record(Op::kCalloc, count * size, block, 0);
  return block;
}

__attribute__((visibility("default"))) void free(void* block) {
  if (block == nullptr) return;
  Record(Op::kFree, 0, block, 0);
  __libc_free(block);
}

__attribute__((visibility("default"))) void* realloc(void* block, size_t size) {
  if (block == nullptr) return malloc(size);
  if (size == 0) {
    free(block);
    return nullptr;
  }
  const auto before = reinterpret_cast<uintptr_t>(block);
  void* result = __libc_realloc(block, size);
  if (result != nullptr) Record(Op::kRealloc, size, result, before);
  return result;
}

__attribute__((visibility("default"))) void* memalign(size_t alignment, size_t size) {
  return RecordAligned(alignment, size);
}

__attribute__((visibility("default"))) void* aligned_alloc(size_t alignment, size_t size) {
  return RecordAligned(alignment, size);
}

__attribute__((visibility("default"))) int posix_memalign(void** out, size_t alignment, size_t size) {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  const int saved = errno;
  void* block = RecordAligned(alignment, size);
  errno = saved;
  if (block == nullptr) return ENOMEM;
  *out = block;
  return 0;
}

}  // extern "C"
