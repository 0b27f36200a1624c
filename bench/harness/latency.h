// How long single calls take, kept as a histogram small enough to stay in the cache.
#ifndef HAKMEM_BENCH_HARNESS_LATENCY_H_
#define HAKMEM_BENCH_HARNESS_LATENCY_H_

#include <time.h>

#include <array>
#include <cstdint>

namespace hakmem::bench {

// A clock that costs some nanoseconds: the time stamp counter where there is one, else the monotonic clock. The fences
// keep the processor from reading it before the call that comes first has ended, or after the next has begun: without
// them a call of a few nanoseconds overlaps with the looks at the clock around it.
inline uint64_t Ticks() {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
  const uint64_t now = __builtin_ia32_rdtsc();
  __builtin_ia32_lfence();
  return now;
#else
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
#endif
}

// Ticks between two looks at the clock with nothing between them: the median of many. To be taken off each interval.
uint64_t ClockCost();

// Nanoseconds a tick, measured against the monotonic clock for some milliseconds.
double NanosecondsPerTick();

// Log-linear: sixteen buckets a power of two, so a value is known to 1/16. Not thread-safe: one for each thread, merged
// at the end.
class LatencyHistogram {
 public:
  void Add(uint64_t ticks) {
    ++buckets_[BucketOf(ticks)];
    if (ticks > most_) most_ = ticks;
  }
  void Merge(const LatencyHistogram& other);

  uint64_t count() const;
  uint64_t most() const { return most_; }

  // The least bucket bound below which the given share of all values lies; 0 < `share` <= 1. 0 without values.
  uint64_t Percentile(double share) const;

  static constexpr int kSteps = 16;
  static int BucketOf(uint64_t ticks) {
    if (ticks < kSteps) return static_cast<int>(ticks);
    const int power = 63 - __builtin_clzll(ticks);
    return (power - 3) * kSteps + static_cast<int>((ticks >> (power - 4)) & (kSteps - 1));
  }
  // The least value of the bucket after `bucket`.
  static uint64_t UpperBound(int bucket);

 private:
  std::array<uint64_t, 62 * kSteps> buckets_{};
  uint64_t most_ = 0;
};

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_LATENCY_H_
