// What threads of a recorded program did, in the order in which it happened.
#ifndef TESTING_RECORDING_EVENTS_H_
#define TESTING_RECORDING_EVENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "testing/op_stream/op_stream.h"

namespace hakmem::recording {

struct Event {
  enum class Kind : uint8_t {
    kGet,     // a block by `op`: a making operation, not realloc
    kGiveUp,  // a block by `op`: free or free_sized
    kLift,    // a realloc gives up the old block; the thread's next event is its kLower
    kLower,   // the realloc has its block
    kTrim,    // `size`: bytes to keep
    kFork,
    kNothing,  // the thread was there
  };
  uint64_t tick = 0;
  uint64_t block = 0;
  uint64_t size = 0;
  uint32_t thread = 0;
  Kind kind = Kind::kNothing;
  op_stream::OpKind op = op_stream::OpKind::kMalloc;
  uint8_t alignment_log2 = 0;

  bool gives_up() const { return kind == Kind::kGiveUp || kind == Kind::kLift; }
};

// What does not make one whole with the rest of a recording, and what a stream has no place for.
struct Oddities {
  uint64_t unknown_blocks = 0;  // freed or resized, never seen to be allocated: most are older than the recording
  uint64_t seen_twice = 0;      // allocated while the address was in use: a free is missing, or ticks disagree
  uint64_t failed = 0;          // calls that got no memory
  uint64_t free_null = 0;
  uint64_t too_large = 0;       // larger than a stream's blocks, or aligned to more
  uint64_t too_many = 0;        // blocks beyond a stream's slots
  uint64_t folded_threads = 0;  // threads beyond a stream's, done by its first
  uint64_t lost = 0;            // calls that the recorder lost

  // For people; empty when there are none.
  std::string ToText() const;
};

// Makes a stream of events in their order. The first event's thread becomes thread 0; the others get numbers that are
// used again when they have ended, are started by thread 0 before their first event, and end after their last. A block
// that another thread frees or resizes is handed to it just before, or when its thread ends.
op_stream::Stream BuildStream(const std::vector<Event>& events, Oddities* oddities);

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_EVENTS_H_
