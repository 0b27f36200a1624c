#include "bench/harness/latency.h"

#include <algorithm>
#include <cmath>

#include "bench/harness/measure.h"

namespace hakmem::bench {

uint64_t ClockCost() {
  std::array<uint64_t, 4001> costs;
  for (uint64_t& cost : costs) {
    const uint64_t start = Ticks();
    cost = Ticks() - start;
  }
  std::nth_element(costs.begin(), costs.begin() + costs.size() / 2, costs.end());
  return costs[costs.size() / 2];
}

double NanosecondsPerTick() {
  const double start = WallSeconds();
  const uint64_t start_ticks = Ticks();
  double now = start;
  while (now - start < 0.02) now = WallSeconds();
  return (now - start) * 1e9 / static_cast<double>(Ticks() - start_ticks);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  most_ = std::max(most_, other.most_);
}

uint64_t LatencyHistogram::count() const {
  uint64_t sum = 0;
  for (const uint64_t bucket : buckets_) sum += bucket;
  return sum;
}

uint64_t LatencyHistogram::UpperBound(int bucket) {
  const int next = bucket + 1;
  if (next < kSteps) return static_cast<uint64_t>(next);
  const int power = next / kSteps + 3;
  return static_cast<uint64_t>(kSteps + next % kSteps) << (power - 4);
}

uint64_t LatencyHistogram::Percentile(double share) const {
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count())));
  if (wanted == 0) return 0;
  uint64_t sum = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    sum += buckets_[i];
    if (sum >= wanted) return std::min(UpperBound(static_cast<int>(i)), most_);
  }
  return most_;
}

}  // namespace hakmem::bench
