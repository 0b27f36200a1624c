// Streams made up from a seed: the same seed gives the same stream everywhere.
#ifndef TESTING_OP_STREAM_RANDOM_STREAM_H_
#define TESTING_OP_STREAM_RANDOM_STREAM_H_

#include <cstdint>

#include "testing/op_stream/op_stream.h"

namespace hakmem::op_stream {

// A small generator (SplitMix64) whose numbers do not depend on a library's version.
class SeededRandom {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  // Below `bound`, which is not 0.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

 private:
  uint64_t state_;
};

struct RandomStreamOptions {
  uint64_t seed = 1;
  uint32_t ops = 20000;
  Header header = {.threads = 4, .slots = 200, .max_size = uint64_t{8} << 20, .max_live = uint64_t{128} << 20};
  uint32_t forks = 2;     // at most
  uint32_t exchange = 0;  // one of so many uses of a block hands it to another thread; 0: it varies
  uint32_t rare = 400;    // one of so many operations is none on a block: ends of threads, trims, forks, barriers
};

// Mostly small blocks, some of every size; threads start, end and hand blocks to each other; the number of live blocks
// swells and ebbs.
Stream MakeRandomStream(const RandomStreamOptions& options);

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_RANDOM_STREAM_H_
