// Debug builds: a bit for each block that is with the program, so that a double free and the free of an interior
// pointer are found at once, and a block that is handed out twice stops the program.
#ifndef HAKMEM_TINY_LIVE_BLOCKS_H_
#define HAKMEM_TINY_LIVE_BLOCKS_H_

namespace hakmem::tiny {

// `p` leaves hakmem. Dies when it had left before.
void MarkLive(const void* p);

// `p` comes back. False, after a report, when it is no live block; the caller then leaves it alone.
[[nodiscard]] bool MarkFreed(const char* where, const void* p);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_LIVE_BLOCKS_H_
