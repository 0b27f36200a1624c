// The page arena: runs of superslab-sized pieces, kept for reuse and given back to the system.
//
// Each superslab-sized piece of the window is
//
//   taken  | mapped | dirty | meaning
//   no     | no     | no    | free address space
//   no     | yes    | yes   | idle: resident, waits for reuse or purge
//   no     | yes    | no    | purged or never touched: reads as zero
//   yes    | yes    | any   | handed out; dirty tells that it may hold other bytes than zero
//   yes    | no     | no    | being mapped, or somebody else's mapping stands there
//
// All functions are thread-safe; bits change under one lock, system calls are made without it on runs that are taken.
#ifndef HAKMEM_PAGE_ARENA_PAGE_ARENA_H_
#define HAKMEM_PAGE_ARENA_PAGE_ARENA_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/lock.h"

namespace hakmem::arena {

// `count` neighbouring superslabs whose first is aligned to `alignment` bytes (a power of two, at least a superslab),
// readable and writable. Dirty pieces come first. nullptr without memory.
[[nodiscard]] void* Acquire(size_t count, size_t alignment);

// Gives back a run from Acquire, or a part of one in whole pieces; its contents are lost.
void Release(void* address, size_t count);

// The same, and the system gets the memory at once: what lay in small pages, or in the rest of a huge page that was
// split, can be a huge page again when it is wanted. (From Linux 6.14 on: until then the kernel keeps the page table.)
void ReleasePurged(void* address, size_t count);

// Unmaps a run in the window, of which parts may be unmapped already, and gives its address space back.
void Discard(void* address, size_t count);

// Takes the `more` pieces that follow a run of `count` pieces, when they are free. The run then has count + more
// pieces.
[[nodiscard]] bool ExtendInPlace(void* address, size_t count, size_t more);

// The pages of the run `from` were moved to the run `to` (mremap), both in the window: the address space of `from` is
// free again.
void Moved(void* from, size_t from_count, void* to, size_t to_count);

// Asks for transparent huge pages in `count` pieces of a run that the caller holds, or for small ones. No system call
// for pieces that are so already; none at all where HAKMEM_HUGE_PAGES decides for everything, or outside the window.
void SetHugePages(void* address, size_t count, bool huge);

// Whether a huge page was asked for last, not small ones, in the first piece of a run that the caller holds.
bool IsHuge(const void* address);

// Whether piece `index` of a run that the caller holds may hold other bytes than zero. False for fresh pieces.
bool IsDirty(const void* address, size_t index);

// Who keeps runs that nobody uses, to use them again: `release` gives them back to the arena, so that they can be
// purged or unmapped. It is called without a lock. Constant once the first run is handed out.
void SetKeeper(void (*release)());

// Purges idle pieces, highest addresses first, until `bytes` are purged or none is left. Returns bytes purged.
size_t PurgeIdle(size_t bytes);

// Unmaps everything that is not handed out. Returns bytes unmapped.
size_t UnmapIdle();

struct Usage {
  uint64_t taken;  // bytes handed out
  uint64_t idle;   // bytes idle
};
Usage GetUsage();

// The lock that fork holds.
Lock& ArenaLock();

}  // namespace hakmem::arena

#endif  // HAKMEM_PAGE_ARENA_PAGE_ARENA_H_
