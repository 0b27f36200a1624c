// Runs a compiled program on an allocator, with as many threads as it names.
//
// Each block is touched when it is made, as a program would: its first and last bytes and one of each page between, so
// that what would be resident is. The replay itself allocates nothing: its tables are mappings of its own.
#ifndef HAKMEM_BENCH_REPLAY_RUNNER_H_
#define HAKMEM_BENCH_REPLAY_RUNNER_H_

#include <cstdint>
#include <vector>

#include "bench/replay/program.h"
#include "testing/op_stream/allocator.h"

namespace hakmem::bench {

// Resident memory that the heap has brought about, in bytes, where a program has its points.
struct Sample {
  uint64_t resident = 0;
  double seconds = 0;  // since the beginning
};

struct RunOptions {
  // Looks at what the allocator gives: alignment, zeroes of calloc, contents kept by realloc and unchanged at free. A
  // fault ends the process with kExitDamaged.
  bool check = false;
  Sample* samples = nullptr;  // as many as the program has points, or null: nothing is measured
};

// The calling thread is thread 0. What is alive at the end is freed. No memory ends the process with kExitNoMemory, no
// thread with kExitNoResource.
class Runner {
 public:
  Runner(const Program& program, const op_stream::Allocator& allocator);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void Run(const RunOptions& options = {});

 private:
  struct Shared;
  Shared* shared_;
};

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_REPLAY_RUNNER_H_
