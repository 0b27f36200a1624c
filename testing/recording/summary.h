// What is in a stream, at a glance.
#ifndef TESTING_RECORDING_SUMMARY_H_
#define TESTING_RECORDING_SUMMARY_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "testing/op_stream/op_stream.h"

namespace hakmem::recording {

struct Summary {
  struct Thread {
    uint64_t ops = 0;
    uint64_t lives = 0;       // how often it was started
    uint64_t handed_out = 0;  // blocks
  };

  std::array<uint64_t, op_stream::kOpKinds> ops{};
  std::vector<Thread> threads;
  uint64_t left_out = 0;             // operations that do nothing at their place
  std::array<uint64_t, 65> sizes{};  // blocks made, by the bits of their size: [i] from 2^(i-1) on, [0] of 0 bytes
  uint64_t bytes_made = 0;           // asked for, altogether
  uint64_t peak_bytes = 0;           // alive at a time
  uint64_t peak_blocks = 0;          // alive at a time, perhaps at another
  uint64_t peak_at = 0;              // the operation after which peak_bytes was reached
  uint64_t end_bytes = 0;            // alive at the end
  uint64_t end_blocks = 0;
};

Summary Summarize(const op_stream::Stream& stream);
std::string ToText(const Summary& summary);

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_SUMMARY_H_
