// The mmap gate: the only door through which hakmem gets memory from the system and gives it back.
//
// It keeps the account of mapped bytes and the limit of HAKMEM_MEMORY_LIMIT, opens the address window, and hands out
// memory for metadata, which is never given back, so that a stale pointer to metadata can always be read. No function
// here is called with a lock held (debug builds check), and none touches errno. All are thread-safe.
#ifndef HAKMEM_MMAP_GATE_MMAP_GATE_H_
#define HAKMEM_MMAP_GATE_MMAP_GATE_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/mmap_gate/window.h"
#include "hakmem/platform/lock.h"

namespace hakmem::gate {

enum class Outcome : uint8_t {
  kDone,
  kTaken,     // somebody else's mapping stands there
  kNoMemory,  // the system or HAKMEM_MEMORY_LIMIT refuses
};

// Finds a place for the window and maps its address map. Called once, by the one thread that initialises hakmem.
// Without success, or with `allowed` false, the process works without a window.
void OpenWindow(bool allowed);

// Makes [address, address + size) of the window readable, writable and zero.
[[nodiscard]] Outcome Commit(void* address, size_t size);

// Maps zeroed memory outside the window, `alignment` a power of two of at least a page. nullptr without memory.
[[nodiscard]] void* MapOutside(size_t size, size_t alignment);

// Gives a range from Commit or MapOutside back for good. False when the system refuses: the range then stays mapped and
// booked, and reads as zero.
bool Unmap(void* address, size_t size);

// Takes the pages out of the resident set; they read as zero afterwards. False when the system refuses.
bool Purge(void* address, size_t size);
// How often the system has refused that.
uint64_t PurgesRefused();

// Asks the system for huge pages in a range, or for small ones. A hint: nothing depends on the answer.
void AdviseHuge(void* address, size_t size, bool huge);

// Moves a huge block of `old_size` mapped bytes of the window, in whole pieces, onto a committed range of the window of
// `new_size` bytes, no fewer, pages and all; what the system refuses to move after the rest has moved is copied. On
// failure nothing has moved, and parts of the target may be unmapped.
[[nodiscard]] bool MoveOnto(void* from, size_t old_size, void* to, size_t new_size);

// Zeroed memory for metadata, `alignment` a power of two up to 4096; it is never given back. nullptr without memory.
[[nodiscard]] void* AllocateMetadata(size_t size, size_t alignment);

struct Account {
  uint64_t mapped;       // bytes mapped for blocks now
  uint64_t mapped_peak;  // the most there were
  uint64_t metadata;     // bytes mapped for metadata
  uint64_t purged;       // bytes purged since the start
};
Account GetAccount();

// The lock that fork holds, so that a child finds the metadata whole.
Lock& MetadataLock();

}  // namespace hakmem::gate

#endif  // HAKMEM_MMAP_GATE_MMAP_GATE_H_
