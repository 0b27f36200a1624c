// The interface under hakmem's own names. What each does stands in <hakmem/hakmem.h>.

#include <hakmem/hakmem.h>

#include "hakmem/api/core.h"
#include "hakmem/api/statistics.h"
#include "hakmem/diag/ring.h"

#define HAK_STRING_OF(x) #x
#define HAK_STRING(x) HAK_STRING_OF(x)
#define HAK_VERSION_TEXT \
  HAK_STRING(HAKMEM_VERSION_MAJOR) "." HAK_STRING(HAKMEM_VERSION_MINOR) "." HAK_STRING(HAKMEM_VERSION_PATCH)

namespace core = hakmem::core;

extern "C" {

void* hak_malloc(size_t size) noexcept { return core::Malloc(size); }
void* hak_calloc(size_t count, size_t size) noexcept { return core::Calloc(count, size); }
void* hak_realloc(void* ptr, size_t size) noexcept { return core::Realloc(ptr, size); }
void* hak_reallocarray(void* ptr, size_t count, size_t size) noexcept {
  return core::Realloc(ptr, core::Product(count, size));
}
void hak_free(void* ptr) noexcept { core::Free(ptr); }
void hak_free_sized(void* ptr, size_t size) noexcept { core::FreeWithSize(ptr, size); }
void hak_free_aligned_sized(void* ptr, size_t alignment, size_t size) noexcept {
  core::FreeAlignedSized(ptr, alignment, size);
}
int hak_posix_memalign(void** out, size_t alignment, size_t size) noexcept {
  return core::PosixMemalign(out, alignment, size);
}
void* hak_aligned_alloc(size_t alignment, size_t size) noexcept { return core::AlignedAlloc(alignment, size); }
void* hak_memalign(size_t alignment, size_t size) noexcept { return core::Memalign(alignment, size); }
void* hak_valloc(size_t size) noexcept { return core::Valloc(size); }
void* hak_pvalloc(size_t size) noexcept { return core::Pvalloc(size); }
size_t hak_usable_size(const void* ptr) noexcept { return core::UsableSize(ptr); }
int hak_owns(const void* ptr) noexcept { return core::Owns(ptr) ? 1 : 0; }
int hak_trim(size_t keep) noexcept { return core::Trim(keep) ? 1 : 0; }
void hak_stats_print(int fd, int as_json) noexcept { hakmem::PrintStatistics(fd, as_json != 0); }

int hak_ring_dump(int fd) noexcept { return hakmem::ring::Dump(fd) ? 1 : 0; }

const char* hak_version(void) noexcept {
#if defined(HAKMEM_BUILD_GUARD)
  return "hakmem " HAK_VERSION_TEXT " (guard)";
#elif defined(HAKMEM_BUILD_RELEASE)
  return "hakmem " HAK_VERSION_TEXT " (release)";
#else
  return "hakmem " HAK_VERSION_TEXT " (debug)";
#endif
}

}  // extern "C"
