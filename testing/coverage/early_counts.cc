// Coverage builds: keeps the counts of what ran before the profile's file was there.
//
// A malloc is called before any constructor. The runtime of clang's profiles opens its file in a constructor of its
// own, from when on the counters are the file's memory; when the file exists already, because another process of the
// same program made it, the runtime drops what was counted until then.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" {
// Of the runtime (compiler-rt, lib/profile/InstrProfiling.h), and of each file that is instrumented: the distance from
// the counters in the program to those in the file, 0 while they are the same.
extern __attribute__((visibility("hidden"))) intptr_t __llvm_profile_counter_bias;
__attribute__((visibility("hidden"))) void __llvm_profile_initialize();
__attribute__((visibility("hidden"))) char* __llvm_profile_begin_counters();
__attribute__((visibility("hidden"))) char* __llvm_profile_end_counters();
}

namespace {

// Linked in front of the runtime, and so called before its constructor, which then finds its work done.
__attribute__((constructor)) void KeepEarlyCounts() {
  char* const counters = __llvm_profile_begin_counters();
  const auto bytes = static_cast<size_t>(__llvm_profile_end_counters() - counters);
  if (__llvm_profile_counter_bias != 0 || bytes == 0) return;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  memcpy(memory, counters, bytes);
  __llvm_profile_initialize();
  if (const intptr_t bias = __llvm_profile_counter_bias; bias != 0) {
    const auto* const early = static_cast<const uint64_t*>(memory);
    auto* const in_file = reinterpret_cast<uint64_t*>(counters + bias);
    // Whoever made the file has its early counts in it twice.
    for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) {
      if (early[i] != 0) __atomic_fetch_add(&in_file[i], early[i], __ATOMIC_RELAXED);
    }
  }
  munmap(memory, bytes);
}

}  // namespace
