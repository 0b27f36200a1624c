// Memory over the run of a replay, as a picture.
#ifndef HAKMEM_BENCH_REPLAY_PICTURE_H_
#define HAKMEM_BENCH_REPLAY_PICTURE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace hakmem::bench {

struct MemoryPoint {
  uint64_t operation;
  uint64_t live;      // bytes asked for and not freed
  uint64_t resident;  // bytes that the heap holds
};

// An SVG file: both lines over the operations.
std::string MemoryPicture(const std::string& title, const std::vector<MemoryPoint>& points);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_REPLAY_PICTURE_H_
