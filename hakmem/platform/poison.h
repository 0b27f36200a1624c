// The address sanitizer's view of hakmem's memory: what the program may not touch is poisoned.
//
// Memory of superslabs and huge blocks is poisoned but for the blocks that are with the program, and so are the gaps
// between pieces of metadata. hakmem itself reads and writes free blocks through HAK_NO_ASAN functions only (block.h).
// Without the sanitizer nothing of this is compiled.
//
// What it cannot see: a stray write into the metadata itself, which hakmem's own code, checked like all other, has to
// be able to touch; and any access by the kernel.
#ifndef HAKMEM_PLATFORM_POISON_H_
#define HAKMEM_PLATFORM_POISON_H_

#include <cstddef>

#include "hakmem/platform/compiler.h"

#if defined(HAK_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace hakmem {

#if defined(HAK_ASAN)
inline constexpr bool kPoisons = true;
inline void Poison(const void* p, size_t size) { __asan_poison_memory_region(p, size); }
inline void Unpoison(const void* p, size_t size) { __asan_unpoison_memory_region(p, size); }
#else
inline constexpr bool kPoisons = false;
inline void Poison(const void*, size_t) {}
inline void Unpoison(const void*, size_t) {}
#endif

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_POISON_H_
