// One round of a soak: what a seed stands for.
#ifndef HAKMEM_TESTING_SOAK_ROUND_H_
#define HAKMEM_TESTING_SOAK_ROUND_H_

#include <cstdint>
#include <string>

#include "testing/op_stream/allocator.h"

namespace hakmem::soak {

struct RoundResult {
  std::string failure;  // empty when all was well
  uint64_t operations = 0;
};

// Runs the streams of `seed`: of all kinds of operations in few threads, then of many threads that hand blocks on, end
// and are started again while others free their blocks, with trims and forks on the way.
RoundResult RunRound(uint64_t seed, const op_stream::Allocator& allocator);

// The allocator that a soak runs on: hakmem, or in a test of the soak itself a broken one.
const op_stream::Allocator& AllocatorUnderTest();

}  // namespace hakmem::soak

#endif  // HAKMEM_TESTING_SOAK_ROUND_H_
