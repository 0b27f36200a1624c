// A bit for each block that is with the program, so that a double free and the free of an interior pointer are found at
// once, and a block that is handed out twice stops the program. In debug and guard builds, and in all builds while the
// debug ring is on.
#ifndef HAKMEM_TINY_LIVE_BLOCKS_H_
#define HAKMEM_TINY_LIVE_BLOCKS_H_

#include "hakmem/diag/ring.h"
#include "hakmem/platform/build.h"
#include "hakmem/superslab/slab.h"

namespace hakmem::tiny {

inline bool KeepsLiveBits() { return kTrackBlocks || ring::On(); }

// `p` leaves hakmem. Dies when it had left before.
void MarkLive(const void* p);

// `p` comes back. False, after a report, when it is no live block; the caller then leaves it alone.
[[nodiscard]] bool MarkFreed(const char* where, const void* p);

// Whether the start of a block in a slab is with the program. Only where bits are kept.
bool IsLive(const Slab& slab, const void* p);

// The same; reports otherwise.
[[nodiscard]] bool CheckLive(const char* where, const Slab& slab, const void* p);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_LIVE_BLOCKS_H_
