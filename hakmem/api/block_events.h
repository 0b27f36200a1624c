// The program's calls, for the debug ring and the recorder (HAKMEM_TRACE). While the ring is on, each block's life is
// tracked in release builds as well (see live_blocks.h), so that a second free is found at once.
//
// Each entry of the allocator notes the address that it returns to: the hit paths jump to these entries, so that it is
// the program's own. (Unoptimised builds may name a function of hakmem's instead.)
#ifndef HAKMEM_API_BLOCK_EVENTS_H_
#define HAKMEM_API_BLOCK_EVENTS_H_

#include <cstddef>

#include "hakmem/diag/ring.h"
#include "hakmem/platform/compiler.h"
#include "hakmem/trace/trace.h"

namespace hakmem::block_events {

// Whether anybody wants to see them. Constant once the first allocation is served.
extern bool g_wanted HAK_HIDDEN;
inline bool Wanted() { return HAK_UNLIKELY(g_wanted); }

// For the ring, while it is on.
HAK_COLD void WriteAllocated(const void* p, size_t size, const void* caller);
[[nodiscard]] HAK_COLD bool WriteFreed(const void* p, const void* caller);
// realloc made `to` out of `from`: in place, or by moving its pages.
HAK_COLD void WriteResized(const void* from, const void* to, size_t size, const void* caller);

// `p`, which may be nullptr, goes to the program.
HAK_ALWAYS_INLINE void Allocated(const trace::Call& call, const void* p, const void* caller) {
  if (!Wanted()) return;
  if (ring::On()) WriteAllocated(p, call.size, caller);
  if (trace::On()) trace::Allocated(call, p);
}

// The program gives `p`, which may be nullptr, back. False, after a report, when it is no block that the program has.
[[nodiscard]] HAK_ALWAYS_INLINE bool Freed(const trace::Call& call, const void* p, const void* caller) {
  if (!Wanted()) return true;
  if (ring::On() && p != nullptr && !WriteFreed(p, caller)) return false;
  if (trace::On()) trace::Freed(call, p);
  return true;
}

}  // namespace hakmem::block_events

#endif  // HAKMEM_API_BLOCK_EVENTS_H_
