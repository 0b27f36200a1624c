// A load after Larson and Krishnan's server ("Memory allocation for long-running server applications", 1998), made to
// break an allocator rather than to measure it: threads hand their blocks on and exit while others free blocks of
// theirs.
#ifndef HAKMEM_TESTING_LARSON_STRESS_STRESS_H_
#define HAKMEM_TESTING_LARSON_STRESS_STRESS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "testing/larson_stress/held_block.h"

namespace hakmem::stress {

struct Options {
  double seconds;
  int threads;  // at a time
  uint64_t seed;
  size_t blocks;      // that each thread holds
  uint64_t lifetime;  // about how many events it takes until a thread hands its blocks on and ends
  size_t min_size, max_size;
  double large_share;  // of blocks up to 128 times larger
};

struct Result {
  uint64_t events = 0;     // blocks checked and given back, or resized
  uint64_t threads = 0;    // born
  uint64_t handed_on = 0;  // blocks that went from one thread to another
};

class Stress {
 public:
  explicit Stress(const Options& options);

  // Runs for the time given; every thread has ended and every block is free when it returns.
  Result Run();

 private:
  using Blocks = std::vector<HeldBlock>;
  // A block that a thread leaves for another one to take.
  struct Counter {
    std::mutex mutex;
    HeldBlock block;
  };

  void StartThread(Blocks blocks, uint64_t seed);
  void RunThread(Blocks blocks, uint64_t seed);
  HeldBlock NewBlock(std::mt19937_64& random);
  size_t RandomSize(std::mt19937_64& random) const;
  uint64_t TakeSeed();

  const Options options_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> next_stamp_{1};
  std::atomic<uint64_t> events_{0}, handed_on_{0};
  std::vector<Counter> counters_;

  std::mutex mutex_;
  std::deque<std::thread> to_join_;  // guarded by mutex_, like all that follows
  Blocks parked_;                    // blocks of a thread that is gone: the next one that ends takes them for its own
  std::mt19937_64 seeds_;
  uint64_t threads_ = 0;
};

}  // namespace hakmem::stress

#endif  // HAKMEM_TESTING_LARSON_STRESS_STRESS_H_
