// Records every allocation call of the program, off unless HAKMEM_TRACE names a file.
//
// While it is on, each thread has a stand-in for its heap (tiny/heap.h): the hit paths find nothing, know nothing of
// it, and every call takes a slow path, which records it and then works on the thread's own lists as ever. The stand-in
// is the thread's Recorder as well: the place in the file where its next record goes.
//
// Synchronisation: a recorder has one writer, the thread that drives it, and passes from one to the next by its driver
// word. A signal handler that allocates while its thread writes a record finds the recorder busy; its calls get no
// record and are counted as lost. Nothing here takes a lock.
#ifndef HAKMEM_TRACE_TRACE_H_
#define HAKMEM_TRACE_TRACE_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/compiler.h"
#include "hakmem/trace/tick.h"
#include "hakmem/trace/trace_format.h"

namespace hakmem::trace {

// Constant once the first allocation is served. Stays true when the recording ends early.
extern bool g_on HAK_HIDDEN;
inline bool On() { return HAK_UNLIKELY(g_on); }

// Turns the recorder on. Called once, before there are other threads. After a message it stays off.
void Start();

// What the program asked for, and with what alignment (for operations without one: 0).
struct Call {
  Op op;
  size_t size = 0;
  size_t alignment = 0;
};

// `p` was got and goes to the program; nullptr: there was no memory.
void Allocated(const Call& call, const void* p);
// `p`, which may be nullptr, is about to be given back.
void Freed(const Call& call, const void* p);
// A realloc that began at `began` (Tick) made `to` of `from`; nullptr: there was no memory.
void Reallocated(const void* from, const void* to, size_t size, uint64_t began);
// malloc_trim is about to be done.
void Trimmed(size_t keep);
// The process was forked: in the parent.
void Forked();

// In a forked child, while it has one thread: a recording of its own, where %p gives it a file, or none; none either
// where it must not allocate.
void RepairAfterFork(bool may_allocate);

// At exit(3).
void NoteExit();

}  // namespace hakmem::trace

#endif  // HAKMEM_TRACE_TRACE_H_
