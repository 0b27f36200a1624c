// What each thread of a stream does, and for whom it has to wait.
//
// A stream is gone through once, in its order, with the state that its operations lead to: which slots hold a block,
// which threads run, how many bytes are alive. An operation that makes no sense at its place is left out:
//
//   - its thread does not run;
//   - it allocates into a slot that holds a block, or would exceed max_live;
//   - it works on the block of an empty slot (realloc allocates then);
//   - hand: the slot there holds a block (the thread there need not run);
//   - start: the thread runs; end: it is thread 0;
//   - there were as many forks or starts as the limits allow.
//
// A realloc to 0 bytes frees. A block counts with the greater of its size and its alignment.
//
// The steps of a thread are done in order. A step waits for a step of another thread where both touch the same slot,
// and at barriers for everybody; everything else is free to happen at the same time. As each wait is for something
// earlier in the stream, a plan cannot deadlock.
#ifndef TESTING_OP_STREAM_PLAN_H_
#define TESTING_OP_STREAM_PLAN_H_

#include <array>
#include <cstdint>
#include <vector>

#include "testing/op_stream/op_stream.h"

namespace hakmem::op_stream {

struct PlanLimits {
  uint32_t forks = UINT32_MAX;
  uint32_t starts = UINT32_MAX;
};

// That `thread` has done so many of its steps.
struct Wait {
  uint32_t thread = 0;
  uint32_t steps = 0;  // 0: for nothing
};

struct Step {
  static constexpr uint32_t kOnlyWait = UINT32_MAX;

  uint32_t op = kOnlyWait;  // index in the stream
  uint32_t detail = 0;      // of a start, the life that it begins; of a barrier, its number
  std::array<Wait, 2> waits;
  bool watched = false;  // somebody waits for this step
};

// The steps from a thread's start to its end.
struct Life {
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct ThreadPlan {
  std::vector<Step> steps;
  std::vector<Life> lives;
  uint32_t slots = 0;  // as many as are used
};

struct Plan {
  std::vector<ThreadPlan> threads;
  std::vector<uint32_t> barriers;  // how many threads each is for
  uint64_t left_out = 0;
  uint64_t peak_live = 0;  // bytes asked for
};

// `stream` has to be valid and have fewer than 2^32 - 1 operations.
Plan MakePlan(const Stream& stream, const PlanLimits& limits = {});

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_PLAN_H_
