// Where a thread's records go.
#ifndef HAKMEM_TRACE_RECORDER_H_
#define HAKMEM_TRACE_RECORDER_H_

#include <atomic>
#include <cstdint>

#include "hakmem/tiny/heap.h"
#include "hakmem/trace/trace_format.h"

namespace hakmem::trace {

// A stream of the file, and the stand-in of the thread that drives it. Recorders are never given back: when a thread
// ends, its recorder waits for another.
struct Recorder : StandIn {
  Recorder* next;                // constant once the recorder can be found
  std::atomic<uint32_t> driver;  // the system's id of a thread; 0: nobody

  // The driver's.
  bool writing;            // a record, or a chunk, is half done
  uint32_t thread;         // number in the file
  uint32_t system_thread;  // the last driver
  uint32_t stream;         // 0: no chunk yet
  uint32_t sequence;       // of the next chunk
  unsigned char* chunk;
  unsigned char* at;     // where the next record goes
  unsigned char* limit;  // up to here any record fits
  uint64_t tick;         // of the record before
  uint64_t block;        // the last that was written, in units of 16 bytes
};

// The calling thread's; nullptr when it has none: it has not started, has ended, or the recording had ended before.
inline Recorder* OwnRecorder() {
  Heap* heap = tls_heap;
  if (heap->rest != nullptr) return nullptr;
  auto* stand_in = reinterpret_cast<StandIn*>(heap);
  return stand_in->heap != nullptr ? static_cast<Recorder*>(stand_in) : nullptr;
}

// What the heaps are watched with.
extern const Watcher kWatcher;

// A recorder for one call of a thread whose own has been given up, and back with it. nullptr without memory.
Recorder* BorrowRecorder();
void ReturnRecorder(Recorder& recorder);

// Ends the recorder's chunk and begins another, whose first record has the tick `now`. False when the recording ends.
bool NewChunk(Recorder& recorder, uint64_t now);

// In a forked child: nobody drives a recorder but `own` (nullptr: nobody at all); all begin anew.
void ForgetStreams(Recorder* own);

// The calling thread drives `recorder` from here on, as the thread of its number or of a new one.
void WriteThread(Recorder& recorder, bool same_thread);

}  // namespace hakmem::trace

#endif  // HAKMEM_TRACE_RECORDER_H_
