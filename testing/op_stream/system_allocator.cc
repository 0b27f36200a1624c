#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#include <string_view>

#include "testing/op_stream/allocator.h"

namespace hakmem::op_stream {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr bool kSanitizer = true;
#else
constexpr bool kSanitizer = false;
#endif
#else
constexpr bool kSanitizer = false;
#endif

template <class Function>
Function Find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

// The file of the object that a function lies in.
std::string_view ObjectOf(void* function) {
  Dl_info info;
  return function != nullptr && dladdr(function, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

Allocator Look() {
  Allocator a = {
      .name = "the C library",
      .malloc = ::malloc,
      .calloc = ::calloc,
      .realloc = ::realloc,
      .reallocarray = ::reallocarray,
      .aligned_alloc = ::aligned_alloc,
      .posix_memalign = ::posix_memalign,
      .memalign = ::memalign,
      .free = ::free,
      .usable_size = ::malloc_usable_size,
      .free_sized = Find<void (*)(void*, size_t)>("free_sized"),
      .free_aligned_sized = Find<void (*)(void*, size_t, size_t)>("free_aligned_sized"),
      .trim = ::malloc_trim,
      // What glibc 2.36 does: its aligned_alloc rounds a wrong alignment up, and errno is set wherever memory was
      // short.
      .aligned_alloc_checks = false,
      .quiet_posix_memalign = false,
      .quiet_success = false,
  };
  if (kSanitizer) {
    a.name = "the sanitizer";
    a.refuses = false;
    a.aligned_alloc_multiple = true;
    a.quiet_free = false;
    a.free_sized = nullptr;
    a.free_aligned_sized = nullptr;
    return a;
  }
  const std::string_view object = ObjectOf(dlsym(RTLD_DEFAULT, "malloc"));
  if (object == ObjectOf(dlsym(RTLD_DEFAULT, "hak_malloc"))) {
    a.name = "hakmem, as the program's malloc";
    a.aligned_alloc_checks = true;
    a.quiet_posix_memalign = true;
    a.quiet_success = true;
  } else if (object.find("libc.so") == object.npos) {
    a.name = "a preloaded allocator";
    a.quiet_free = false;
  }
  return a;
}

}  // namespace

const Allocator& SystemAllocator() {
  static const Allocator allocator = Look();
  return allocator;
}

}  // namespace hakmem::op_stream
