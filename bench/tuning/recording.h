// The input of the tuning: calls of a recorded program, one after the other.
#ifndef HAKMEM_BENCH_TUNING_RECORDING_H_
#define HAKMEM_BENCH_TUNING_RECORDING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "testing/op_stream/op_stream.h"

namespace hakmem::bench {

// A block begins or ends. A block that is resized ends and begins anew.
struct Use {
  static constexpr uint32_t kEnd = UINT32_MAX;
  uint32_t slot;  // names the block while it is alive
  uint32_t size;  // bytes asked for; kEnd when the block ends
};

struct Recording {
  std::string name;
  uint32_t slots = 0;  // above every slot
  std::vector<Use> uses;
};

// The blocks of a stream, of all its threads in the order in which it stands.
Recording FromStream(const std::string& name, const op_stream::Stream& stream);

// Reads a recording in whatever form it was kept. False, with the reason in `fault`, when it cannot be read.
bool ReadRecording(const std::string& path, Recording* recording, std::string* fault);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_TUNING_RECORDING_H_
