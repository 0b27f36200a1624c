// A generator that costs about a nanosecond, so that a load measures the allocator and not the generator; the same seed
// gives the same load on every allocator.
#ifndef HAKMEM_BENCH_HARNESS_RANDOM_H_
#define HAKMEM_BENCH_HARNESS_RANDOM_H_

#include <cstdint>

namespace hakmem::bench {

// splitmix64: a counter through a mixing function (Steele, Lea, Flood: "Fast splittable pseudorandom number
// generators").
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  // Uniform in [0, bound), up to a bias below 2^-32 * bound; bound at most 2^32.
  uint64_t Below(uint64_t bound) { return ((Next() >> 32) * bound) >> 32; }

  // Uniform in [least, most].
  uint64_t Between(uint64_t least, uint64_t most) { return least + Below(most - least + 1); }

  // Uniform in (0, 1].
  double Unit() { return static_cast<double>((Next() >> 11) + 1) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_RANDOM_H_
