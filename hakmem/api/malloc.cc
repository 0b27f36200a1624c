// The standard names: ISO C, POSIX, and those of glibc (its manual, "Replacing malloc", lists what a replacement
// needs).
//
// The __libc_ names are older entry points of glibc's that programs and libraries still call.

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <hakmem/hakmem.h>

#include "hakmem/api/core.h"
#include "hakmem/api/statistics.h"
#include "hakmem/platform/compiler.h"

namespace core = hakmem::core;

namespace {

struct mallinfo NarrowInfo() {
  const struct mallinfo2 wide = hakmem::MallocInfo2();
  struct mallinfo narrow = {};
  // The fields are int; glibc lets them wrap, which is why mallinfo2 exists.
  narrow.arena = static_cast<int>(wide.arena);
  narrow.ordblks = static_cast<int>(wide.ordblks);
  narrow.hblks = static_cast<int>(wide.hblks);
  narrow.hblkhd = static_cast<int>(wide.hblkhd);
  narrow.uordblks = static_cast<int>(wide.uordblks);
  narrow.fordblks = static_cast<int>(wide.fordblks);
  narrow.keepcost = static_cast<int>(wide.keepcost);
  return narrow;
}

}  // namespace

extern "C" {

HAKMEM_PUBLIC void* malloc(size_t size) noexcept { return core::Malloc(size); }
HAKMEM_PUBLIC void free(void* ptr) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void* calloc(size_t count, size_t size) noexcept { return core::Calloc(count, size); }
HAKMEM_PUBLIC HAK_NOINLINE void* realloc(void* ptr, size_t size) noexcept { return core::Realloc(ptr, size); }
// This and pvalloc call others by their public names, which are not inlined for that. Who replaces malloc and free
// often does not know these two (valgrind, or a program with a malloc of its own), and their blocks have to be its own
// as well.
HAKMEM_PUBLIC void* reallocarray(void* ptr, size_t count, size_t size) noexcept {
  return realloc(ptr, core::Product(count, size));
}
HAKMEM_PUBLIC void cfree(void* ptr) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void free_sized(void* ptr, size_t size) noexcept { core::FreeWithSize(ptr, size); }
HAKMEM_PUBLIC void free_aligned_sized(void* ptr, size_t alignment, size_t size) noexcept {
  core::FreeAlignedSized(ptr, alignment, size);
}
HAKMEM_PUBLIC int posix_memalign(void** out, size_t alignment, size_t size) noexcept {
  return core::PosixMemalign(out, alignment, size);
}
HAKMEM_PUBLIC void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return core::AlignedAlloc(alignment, size);
}
HAKMEM_PUBLIC void* memalign(size_t alignment, size_t size) noexcept { return core::Memalign(alignment, size); }
HAKMEM_PUBLIC HAK_NOINLINE void* valloc(size_t size) noexcept { return core::Valloc(size); }
HAKMEM_PUBLIC void* pvalloc(size_t size) noexcept { return valloc(core::WholePages(size)); }
HAKMEM_PUBLIC size_t malloc_usable_size(void* ptr) noexcept { return core::UsableSize(ptr); }
HAKMEM_PUBLIC int malloc_trim(size_t keep) noexcept { return core::Trim(keep) ? 1 : 0; }

HAKMEM_PUBLIC void* __libc_malloc(size_t size) noexcept { return core::Malloc(size); }
HAKMEM_PUBLIC void __libc_free(void* ptr) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void* __libc_calloc(size_t count, size_t size) noexcept { return core::Calloc(count, size); }
HAKMEM_PUBLIC void* __libc_realloc(void* ptr, size_t size) noexcept { return core::Realloc(ptr, size); }
HAKMEM_PUBLIC void* __libc_memalign(size_t alignment, size_t size) noexcept { return core::Memalign(alignment, size); }
HAKMEM_PUBLIC void* __libc_valloc(size_t size) noexcept { return core::Valloc(size); }
HAKMEM_PUBLIC void* __libc_pvalloc(size_t size) noexcept { return core::Pvalloc(size); }
HAKMEM_PUBLIC int __posix_memalign(void** out, size_t alignment, size_t size) noexcept {
  return core::PosixMemalign(out, alignment, size);
}

// mallopt(3): the parameters tune glibc's own arenas. They are accepted, as programs expect, and change nothing.
HAKMEM_PUBLIC int mallopt(int parameter, int /*value*/) noexcept {
  switch (parameter) {
    case M_MXFAST:
    case M_NLBLKS:
    case M_GRAIN:
    case M_KEEP:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX: return 1;
    default: return 0;
  }
}

HAKMEM_PUBLIC struct mallinfo2 mallinfo2(void) noexcept { return hakmem::MallocInfo2(); }

HAKMEM_PUBLIC int __libc_mallopt(int parameter, int value) noexcept { return mallopt(parameter, value); }

HAKMEM_PUBLIC struct mallinfo mallinfo(void) noexcept { return NarrowInfo(); }
HAKMEM_PUBLIC struct mallinfo __libc_mallinfo(void) noexcept { return NarrowInfo(); }
HAKMEM_PUBLIC void malloc_stats(void) noexcept { hakmem::PrintStatistics(2, false); }
HAKMEM_PUBLIC int malloc_info(int options, FILE* stream) noexcept { return hakmem::MallocInfoXml(options, stream); }

}  // extern "C"
