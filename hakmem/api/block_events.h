// The program's calls, for the debug ring. While it is on, each block's life is tracked in release builds as well (see
// live_blocks.h), so that a second free is found at once.
//
// Each entry of the allocator notes the address that it returns to: the hit paths jump to these entries, so that it is
// the program's own. (Unoptimised builds may name a function of hakmem's instead.)
#ifndef HAKMEM_API_BLOCK_EVENTS_H_
#define HAKMEM_API_BLOCK_EVENTS_H_

#include <cstddef>

#include "hakmem/diag/ring.h"
#include "hakmem/platform/compiler.h"

namespace hakmem::block_events {

HAK_COLD void WriteAllocated(const void* p, size_t size, const void* caller);
[[nodiscard]] HAK_COLD bool WriteFreed(const void* p, const void* caller);
// realloc made `to` out of `from`: in place, or by moving its pages.
HAK_COLD void WriteResized(const void* from, const void* to, size_t size, const void* caller);

// `p`, which may be nullptr, goes to the program, which asked for `size` bytes.
HAK_ALWAYS_INLINE void Allocated(const void* p, size_t size, const void* caller) {
  if (ring::On()) WriteAllocated(p, size, caller);
}

// The program gives `p` back. False, after a report, when it is no block that the program has.
[[nodiscard]] HAK_ALWAYS_INLINE bool Freed(const void* p, const void* caller) {
  return !ring::On() || WriteFreed(p, caller);
}

}  // namespace hakmem::block_events

#endif  // HAKMEM_API_BLOCK_EVENTS_H_
