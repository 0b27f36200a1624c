// Sizes and addresses rounded up to an alignment.
#ifndef HAKMEM_PLATFORM_ROUND_UP_H_
#define HAKMEM_PLATFORM_ROUND_UP_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/compiler.h"

namespace hakmem {

// The next multiple of `alignment`, a power of two; 0 where that is beyond what a word holds.
HAK_ALWAYS_INLINE constexpr size_t RoundUp(size_t n, size_t alignment) {
  return (n + alignment - 1) & ~(alignment - 1);
}
static_assert(sizeof(uintptr_t) == sizeof(size_t));

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_ROUND_UP_H_
