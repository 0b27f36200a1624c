// One body for each operation, under whatever name the program calls it.
//
// The C names, the hak_ names and the C++ operators are thin: the hit paths are inlined into them, everything else is
// here, out of line.
#ifndef HAKMEM_API_CORE_H_
#define HAKMEM_API_CORE_H_

#include <cstddef>

#include "hakmem/platform/build.h"
#include "hakmem/platform/compiler.h"
#include "hakmem/tiny/fast_path.h"
#include "hakmem/tiny/live_blocks.h"
#include "hakmem/trace/trace_format.h"

namespace hakmem::core {

// Off the hit paths. Null with errno ENOMEM on failure.
void* MallocSlow(size_t size);
// For those who do not jump here: `caller` is the address in the program that the debug ring is to name.
void* MallocSlowFor(size_t size, const void* caller);
// `form` is the operation that the recorder is to name.
void* AllocateAlignedSlow(trace::Op form, size_t alignment, size_t size, const void* caller);
void* Calloc(size_t count, size_t size);
void* CallocSlow(size_t total);
void* Realloc(void* p, size_t size);
void* ReallocSlow(void* p, size_t size);
// What reallocarray asks realloc for. More than there can be when that overflows.
size_t Product(size_t count, size_t size);
// `alignment` is a power of two.
void* AllocateAligned(size_t alignment, size_t size);
void* AlignedAlloc(size_t alignment, size_t size);
void* Memalign(size_t alignment, size_t size);
int PosixMemalign(void** out, size_t alignment, size_t size);
void* Valloc(size_t size);
// What pvalloc asks valloc for: whole pages, one at least. More than there can be when that overflows.
size_t WholePages(size_t size);
void* Pvalloc(size_t size);
void FreeSlow(void* p);
void FreeSized(void* p, size_t size);
void FreeAlignedSized(void* p, size_t alignment, size_t size);
size_t UsableSize(const void* p);
bool Owns(const void* p);
bool Trim(size_t keep);

HAK_ALWAYS_INLINE void* Malloc(size_t size) {
  if (void* p = tiny::TryMalloc(size); HAK_LIKELY(p != nullptr)) {
    if constexpr (kTrackBlocks) tiny::MarkLive(p);
    return p;
  }
  return MallocSlow(size);
}

// The hit path of the aligned forms: nullptr when it is none. `alignment` is a power of two, here and below.
HAK_ALWAYS_INLINE void* TakeAligned(size_t alignment, size_t size) {
  void* p = tiny::TryMallocAligned(alignment, size);
  if constexpr (kTrackBlocks) {
    if (p != nullptr) tiny::MarkLive(p);
  }
  return p;
}

HAK_ALWAYS_INLINE void* AllocateAlignedFor(trace::Op form, size_t alignment, size_t size, const void* caller) {
  if (void* p = TakeAligned(alignment, size); HAK_LIKELY(p != nullptr)) return p;
  return AllocateAlignedSlow(form, alignment, size, caller);
}

HAK_ALWAYS_INLINE void Free(void* p) {
  if constexpr (kTrackBlocks) {
    if (p != nullptr && !tiny::MarkFreed("free", p)) return;
  }
  if constexpr (!kGuardBuild) {
    if (HAK_LIKELY(tiny::TryFree(p))) return;
  }
  FreeSlow(p);
}

// Free with the size that was asked for. Up to 1 KiB the list of that size's class has to be the list that the block
// goes to, which costs a comparison; everything else is looked up.
HAK_ALWAYS_INLINE void FreeWithSize(void* p, size_t size) {
  if constexpr (!kTrackBlocks) {
    if (HAK_LIKELY(tiny::TryFreeSized(p, size))) return;
  }
  FreeSized(p, size);
}

}  // namespace hakmem::core

#endif  // HAKMEM_API_CORE_H_
