// Guard builds (--config=guard): guard words behind each block, and delayed reuse.
//
//     while a block is with the program       | the bytes behind those asked for hold the guard pattern
//     while it waits after its free           | all of it (64 KiB at the most) holds the pattern of freed memory
//
// The guard words are looked at when the block is freed or resized, the freed pattern when the block leaves the queue
// in which freed blocks wait. The size that was asked for is kept beside the superslab's metadata, out of the reach of
// a write past the end; it is what malloc_usable_size(3) tells, and what a sized free has to name. Blocks beyond a
// superslab's half have guard words, but do not wait.
//
// The queue holds a fixed number of blocks and bytes for the whole process. It is a ring of atomic pointers: whoever
// frees puts a block in and takes out the one that stood there, so nothing is locked, and a fork finds nothing half
// done.
#ifndef HAKMEM_GUARD_GUARD_H_
#define HAKMEM_GUARD_GUARD_H_

#include <cstddef>

#include "hakmem/platform/build.h"
#include "hakmem/superslab/slab.h"

namespace hakmem::guard {

// Guard words fill what a block has behind the bytes asked for, this much at least and kMostGuard at the most.
inline constexpr size_t kLeastGuard = 16;
inline constexpr size_t kMostGuard = 256;
inline constexpr unsigned char kGuardByte = 0xfb;

inline constexpr size_t kMostFilled = size_t{64} << 10;
inline constexpr unsigned char kFreedByte = 0xdf;

inline constexpr size_t kQueueBlocks = 16384;
inline constexpr size_t kQueueBytes = size_t{32} << 20;

// What has to be allocated so that `size` bytes and the guard words fit; `size` itself in other builds.
constexpr size_t Padded(size_t size) { return kGuardBuild ? size + kLeastGuard : size; }

// Notes that `size` bytes were asked for at `p`, a block of Padded(size) bytes or more, and writes the guard words.
void Dress(void* p, size_t size);

// The size that was asked for at the start of a block of `region`.
size_t AskedSize(const Region& region, const void* p);

// Looks at the guard words of a block with the program. False after a report of a write past the end.
bool CheckGuard(const char* where, const Region& region, const void* p);

using FreeNow = void (*)(void* p);

// Takes a block that the program has freed, checks its guard words, and lets it wait. Blocks that have waited long
// enough are checked and go to `free_now`; so does at once what has no size class.
void Delay(void* p, FreeNow free_now);

// Sends everything that waits on to `free_now`.
void Flush(FreeNow free_now);

// Checks everything that waits where it is.
void CheckWaiting();

}  // namespace hakmem::guard

#endif  // HAKMEM_GUARD_GUARD_H_
