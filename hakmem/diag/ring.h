// The debug ring: a flight recorder of what the allocator did, off unless HAKMEM_RING asks for it.
//
// Each thread writes to a ring of its own, oldest records first overwritten; a ring of a thread that has ended keeps
// its records until a new thread takes it over, the one that ended longest ago first. While the recorder is on, heaps
// have no lists (HAKMEM_TINY_FAST_CAP is 0), so that every malloc and free takes a slow path and is seen there; the hit
// paths know nothing of it. While it is off, each place that could note something costs one predictable branch.
//
// Synchronisation: a ring has one writer, the thread that drives it; anybody may read at any time, also in a signal
// handler and while it is written to. A record's sequence word is 0 while the record is being written, and a reader
// takes a record only when it finds the same number before and after. Nothing here takes a lock.
#ifndef HAKMEM_DIAG_RING_H_
#define HAKMEM_DIAG_RING_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/diag/ring_format.h"
#include "hakmem/platform/compiler.h"

namespace hakmem::ring {

// Constant once the first allocation is served.
extern bool g_on HAK_HIDDEN;
inline bool On() { return HAK_UNLIKELY(g_on); }

// Zeroed memory that is never given back.
using Allocate = void* (*)(size_t size, size_t alignment);

// Turns the recorder on, with at least `records` records a thread. Called once, before there are other threads.
void Start(uint64_t records, Allocate allocate);

// Writes one record, in the calling thread's ring; when there is no memory for one the event is counted as lost.
HAK_COLD void Write(Event event, const void* pointer, const void* slab, unsigned size_class, uint32_t owner,
                    uint64_t value, const void* caller);

// What concerns no slab.
HAK_ALWAYS_INLINE void Note(Event event, const void* pointer, uint64_t value = 0) {
  if (On()) Write(event, pointer, nullptr, 0, kNoOwner, value, nullptr);
}

// The calling thread writes no more: its ring waits for another.
void EndThread();

// In a forked child, while it has one thread: the rings of threads that are gone wait for others.
void RepairAfterFork();

struct RingInfo {
  uint64_t written;
  uint64_t capacity;
  uint32_t thread;  // 0: nobody writes to it now
};

// Visits every record that is whole, ring by ring, oldest first within a ring; `begin_ring` may be nullptr. Stops when
// a visitor returns false. Async-signal-safe.
struct Visitor {
  bool (*begin_ring)(const RingInfo& info, void* context);
  bool (*record)(const Record& record, void* context);
  void* context;
};
void Visit(const Visitor& visitor);

// Events that got no record.
uint64_t Lost();

// Writes all rings to `fd` in the format of ring_format.h. False when the recorder is off or the file takes no more.
// Allocates nothing, async-signal-safe.
bool Dump(int fd);

// The name of the file of HAKMEM_RING_FILE, with the process id in it where the option says %p.
const char* DumpFileName(char* buffer, size_t size);

// Dumps to that file; what stood there is replaced. False likewise, or when it cannot be opened.
bool DumpToFile();

}  // namespace hakmem::ring

#endif  // HAKMEM_DIAG_RING_H_
