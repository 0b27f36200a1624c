// The input of the tuning: calls of a recorded program, one after the other.
#ifndef HAKMEM_BENCH_TUNING_RECORDING_H_
#define HAKMEM_BENCH_TUNING_RECORDING_H_

#include <cstdint>
#include <string>
#include <vector>

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

// Reads a trace of bench/replay. False, with the reason in `fault`, when it cannot be read or is none.
bool ReadRecording(const std::string& path, Recording* recording, std::string* fault);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_TUNING_RECORDING_H_
