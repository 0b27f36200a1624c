// A stream compiled for replay: what each thread does, as events of 8 bytes, in a file in memory.
//
// The file is read in small pieces while it runs. So the events of a long recording are no part of the resident memory
// that is measured, and neither are the stream and its plan, if another process compiles them.
#ifndef HAKMEM_BENCH_REPLAY_PROGRAM_H_
#define HAKMEM_BENCH_REPLAY_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "testing/op_stream/op_stream.h"

namespace hakmem::bench {

enum class Code : uint32_t {
  kMalloc,
  kCalloc,
  kRealloc,  // of 0 bytes and a block: free
  kAlignedAlloc,
  kPosixMemalign,
  kMemalign,
  kFree,
  kFreeSized,
  kFreeAlignedSized,
  kUsableSize,
  kFill,
  kCheck,
  kHand,     // size: the slot in the table of all threads
  kStart,    // slot: the thread; size: its life
  kTrim,     // size: bytes to keep
  kFork,     // the child ends at once
  kBarrier,  // size: its number
  kWait,     // slot: a thread; size: steps that it has to have done
  kDone,     // size: steps done, somebody waits for them
  kLarge,    // size: the upper half of the next event's
  kSample,   // size: the number of the point
};

struct Event {
  uint32_t code : 5;
  uint32_t alignment_log2 : 5;
  uint32_t slot : 22;
  uint32_t size;
};
static_assert(sizeof(Event) == 8);
static_assert(op_stream::kMaxSlots <= 1 << 22 && op_stream::kMaxAlignmentLog2 < 32);

// Events [begin, end) of the file's, from a thread's start to its end.
struct Life {
  uint64_t begin;
  uint64_t end;
  uint32_t steps_before;  // of the thread, in the lives before
  uint32_t steps_after;
};

struct ProgramThread {
  uint64_t first_slot;  // in the table of all threads
  uint64_t slots;
  uint32_t first_life;
  uint32_t lives;
};

// Where resident memory is measured.
struct Point {
  uint64_t operation;
  uint64_t live_bytes;  // asked for; where threads run side by side, by the order of the recording
};

struct ProgramHeader {
  uint32_t threads;
  uint32_t lives;
  uint32_t barriers;
  uint32_t points;
  uint64_t slots;
  uint64_t operations;  // calls of the allocator
  uint64_t peak_live;
  uint64_t events_at;  // bytes from the beginning of the file
};

// Compiles into `file`, a memfd that is empty. Operations that do nothing and those that have to fail are left out. The
// error is empty when all was written.
std::string CompileProgram(const op_stream::Stream& stream, uint32_t points, int file);

// A view of a compiled program.
class Program {
 public:
  // `file` stays the caller's and has to stay open.
  explicit Program(int file);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const ProgramHeader& header() const { return *header_; }
  const ProgramThread& thread(uint32_t t) const { return threads_[t]; }
  const Life& life(uint32_t t, uint32_t i) const { return lives_[threads_[t].first_life + i]; }
  uint32_t barrier(uint32_t i) const { return barriers_[i]; }  // how many threads it is for
  const Point& point(uint32_t i) const { return points_[i]; }

  // Reads up to `most` events from number `from` on; returns how many, 0 on an error.
  size_t ReadEvents(uint64_t from, size_t most, Event* events) const;

 private:
  const int file_;
  const ProgramHeader* header_;
  const ProgramThread* threads_;
  const Life* lives_;
  const Point* points_;
  const uint32_t* barriers_;
};

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_REPLAY_PROGRAM_H_
