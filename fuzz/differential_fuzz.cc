// The same calls on hakmem and on the C library's malloc (a sanitizer's, where there is one): what the standards fix of
// the results is the same.

#include <malloc.h>
#include <stdlib.h>

#include "fuzz/input.h"
#include "fuzz/player.h"

namespace {

constexpr hakmem::fuzz::Calls kLibrary = {
    malloc,
    calloc,
    realloc,
    reallocarray,
    aligned_alloc,
    posix_memalign,
    free,
    [](void* p, size_t) { free(p); },
    [](void* p, size_t, size_t) { free(p); },
    [](const void* p) { return malloc_usable_size(const_cast<void*>(p)); },
    [](size_t) { return 0; },
    false,
};

}  // namespace

// A sanitizer's malloc refuses, as malloc(3) does, where it would otherwise stop.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const hakmem::fuzz::Input input(data, size);
  hakmem::fuzz::Player ours(hakmem::fuzz::kHakmem, input);
  hakmem::fuzz::Player theirs(kLibrary, input);
  while (!ours.input().done()) {
    FUZZ_CHECK(ours.Step() == theirs.Step());
    // Both have read the same: no call took another way.
    FUZZ_CHECK(ours.input().left() == theirs.input().left());
  }
  return 0;
}
