// The traced side of step_trace: does each operation of the interface on a warm heap, where it is a hit, between two
// marks.
//
// A mark is a breakpoint instruction with the address of the operation's name in rdi (zero at the end). Not for use by
// hand: without a tracer the first mark ends the process.
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cstdlib>
#include <initializer_list>

namespace {

constexpr int kBlocks = 32;
constexpr int kRepeats = 4;
constexpr int kMostAllocations = 1 << 20;

using MallocFunction = void* (*)(size_t);
using FreeFunction = void (*)(void*);
using SizedFreeFunction = void (*)(void*, size_t);
using CallocFunction = void* (*)(size_t, size_t);
using ReallocFunction = void* (*)(void*, size_t);
using AlignedFunction = void* (*)(size_t, size_t);
using PosixMemalignFunction = int (*)(void**, size_t, size_t);
using UsableSizeFunction = size_t (*)(void*);

void Mark(const char* name) { asm volatile("int3" : : "D"(name) : "memory"); }

// The definition that the process really uses, called through a pointer so that the compiler knows nothing about it.
template <typename Function>
Function Find(const char* name) {
  void* const address = dlsym(RTLD_DEFAULT, name);
  if (address == nullptr) {
    fprintf(stderr, "hit_probe: no function %s\n", name);
    exit(1);
  }
  return reinterpret_cast<Function>(reinterpret_cast<uintptr_t>(address));
}

// Leaves many free blocks of the class where the next allocations find them: frees kBlocks blocks and allocates until
// the first of them comes back. What the heap had at hand before is used up by then, and nothing is about to run out.
void Warm(MallocFunction allocate, FreeFunction release, size_t size) {
  void* blocks[kBlocks];
  for (void*& block : blocks) block = allocate(size);
  for (void* const block : blocks) release(block);
  for (int i = 0; i < kMostAllocations; ++i) {
    void* const block = allocate(size);
    for (const void* const freed : blocks) {
      if (block == freed) return;
    }
  }
  fprintf(stderr, "hit_probe: a freed block of %zu bytes is never handed out again\n", size);
  exit(1);
}

// `size` is that of the blocks that `allocate_traced` gets.
template <typename Allocate>
void ProbeAllocate(const char* name, MallocFunction allocate, FreeFunction release, size_t size,
                   Allocate allocate_traced) {
  Warm(allocate, release, size);
  for (int i = 0; i < kRepeats; ++i) {
    Mark(name);
    void* volatile block = allocate_traced();
    Mark(nullptr);
    (void)block;
  }
}

void ProbeAllocate(const char* name, MallocFunction allocate, FreeFunction release, size_t size) {
  ProbeAllocate(name, allocate, release, size, [&] { return allocate(size); });
}

template <typename Release>
void ProbeRelease(const char* name, MallocFunction allocate, FreeFunction warm_release, size_t size, Release release) {
  void* blocks[kBlocks];
  for (void*& block : blocks) block = allocate(size);
  Warm(allocate, warm_release, size);
  // The first frees are not looked at: they may find an empty list.
  for (int i = 0; i < kBlocks; ++i) {
    const bool traced = i >= 2 && i < 2 + kRepeats;
    if (traced) Mark(name);
    release(blocks[i]);
    if (traced) Mark(nullptr);
  }
}

}  // namespace

int main() {
  const auto allocate = Find<MallocFunction>("malloc");
  const auto release = Find<FreeFunction>("free");
  const auto zeroed = Find<CallocFunction>("calloc");
  const auto resize = Find<ReallocFunction>("realloc");
  const auto usable_size = Find<UsableSizeFunction>("malloc_usable_size");
  const auto aligned = Find<AlignedFunction>("aligned_alloc");
  const auto posix_aligned = Find<PosixMemalignFunction>("posix_memalign");
  const auto new_aligned = Find<AlignedFunction>("_ZnwmSt11align_val_t");
  const auto new_one = Find<MallocFunction>("_Znwm");
  const auto delete_one = Find<FreeFunction>("_ZdlPv");
  const auto delete_sized = Find<SizedFreeFunction>("_ZdlPvm");

  for (const size_t size : {1, 16, 64, 1000, 1024}) ProbeAllocate("malloc", allocate, release, size);
  for (const size_t size : {1, 64, 1024}) ProbeAllocate("_Znwm", new_one, delete_one, size);
  for (const size_t size : {1, 16, 64, 1000, 1024}) ProbeRelease("free", allocate, release, size, release);
  for (const size_t size : {64, 1024}) ProbeRelease("_ZdlPv", new_one, delete_one, size, delete_one);
  for (const size_t size : {64, 1024}) {
    ProbeRelease("_ZdlPvm", new_one, delete_one, size, [&](void* block) { delete_sized(block, size); });
  }
  ProbeAllocate("calloc", allocate, release, 64, [&] { return zeroed(4, 16); });
  for (const size_t alignment : {1, 64, 1024}) {
    const size_t size = alignment == 1 ? 100 : 1000;
    const size_t rounded = (size + alignment - 1) / alignment * alignment;
    ProbeAllocate("aligned_alloc", allocate, release, rounded, [&] { return aligned(alignment, size); });
    ProbeAllocate("_ZnwmSt11align_val_t", allocate, release, rounded, [&] { return new_aligned(size, alignment); });
  }
  ProbeAllocate("posix_memalign", allocate, release, 128, [&] {
    void* block = nullptr;
    posix_aligned(&block, 64, 100);
    return block;
  });
  void* block = allocate(60);
  for (int i = 0; i < kRepeats; ++i) {
    Mark("realloc");
    block = resize(block, 57 + i);
    Mark(nullptr);
    Mark("malloc_usable_size");
    const size_t volatile usable = usable_size(block);
    Mark(nullptr);
    (void)usable;
  }
  return 0;
}
