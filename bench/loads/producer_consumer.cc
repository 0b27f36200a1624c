// Producers allocate, consumers free: every free is a remote one. Blocks travel in batches through one bounded queue a
// consumer, so that the queue costs little and the lead of the producers is bounded.
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, producers, 1, "threads that allocate");
ABSL_FLAG(int64_t, consumers, 1, "threads that free");
ABSL_FLAG(int64_t, batch, 100, "blocks handed over at a time");
ABSL_FLAG(int64_t, blocks, 20'000'000, "blocks in all; ignored with --seconds");
ABSL_FLAG(
    double, seconds, 0,
    "run so long instead of counting blocks, and print the resident memory of each second and the most before and "
    "after 5 s have passed");
ABSL_FLAG(int64_t, min_size, 16, "smallest block in bytes, at least 16");
ABSL_FLAG(int64_t, max_size, 256, "largest block in bytes");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "producer_consumer [flags]\n\n"
    "Producers allocate, consumers free. An operation is one malloc or one free.";

constexpr size_t kBatchesInFlight = 32;

// Who has to wait waits for half of the batches: waking a thread for each one would cost more than the blocks do.
constexpr size_t kWorthWaking = kBatchesInFlight / 2;

using Batch = std::vector<void*>;

// A bounded queue of batches. Batches that were emptied go back to it, so the vectors are not allocated anew.
class Queue {
 public:
  explicit Queue(size_t batch_size) {
    for (size_t i = 0; i < kBatchesInFlight; ++i) {
      spare_.push_back(std::make_unique<Batch>());
      spare_.back()->reserve(batch_size);
    }
  }

  std::unique_ptr<Batch> Spare() {
    std::unique_lock lock(mutex_);
    if (spare_.empty()) has_spare_.wait(lock, [this] { return spare_.size() >= kWorthWaking; });
    std::unique_ptr<Batch> batch = std::move(spare_.back());
    spare_.pop_back();
    return batch;
  }

  void Push(std::unique_ptr<Batch> batch) {
    std::lock_guard lock(mutex_);
    full_.push_back(std::move(batch));
    if (full_.size() >= kWorthWaking) has_full_.notify_one();
  }

  // Null when the producers have ended and nothing is left.
  std::unique_ptr<Batch> Pop() {
    std::unique_lock lock(mutex_);
    if (full_.empty()) has_full_.wait(lock, [this] { return full_.size() >= kWorthWaking || ended_; });
    if (full_.empty()) return nullptr;
    std::unique_ptr<Batch> batch = std::move(full_.front());
    full_.pop_front();
    return batch;
  }

  void GiveBack(std::unique_ptr<Batch> batch) {
    batch->clear();
    std::lock_guard lock(mutex_);
    spare_.push_back(std::move(batch));
    if (spare_.size() >= kWorthWaking) has_spare_.notify_all();
  }

  void End() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    has_full_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable has_full_;
  std::condition_variable has_spare_;
  std::deque<std::unique_ptr<Batch>> full_;
  std::vector<std::unique_ptr<Batch>> spare_;
  bool ended_ = false;
};

// Resident memory once a second, from a thread of its own that allocates nothing while it samples.
class Samples {
 public:
  explicit Samples(double seconds) : seconds_(seconds) { kib_.reserve(static_cast<size_t>(seconds) + 2); }

  void Take() {
    const double start = WallSeconds();
    for (double at = 1; at <= seconds_; at += 1) {
      const double left = start + at - WallSeconds();
      if (left > 0) usleep(static_cast<useconds_t>(left * 1e6));
      kib_.push_back(StatusKib("VmRSS"));
    }
  }

  void Report(const Load& load) const {
    constexpr size_t kStartSeconds = 5;
    if (kib_.empty()) return;
    const auto later = kib_.begin() + static_cast<std::ptrdiff_t>(std::min(kStartSeconds, kib_.size()));
    load.Print("rss_kib_most_until_5_s", static_cast<double>(*std::max_element(kib_.begin(), later)));
    if (later != kib_.end()) {
      load.Print("rss_kib_most_after_5_s", static_cast<double>(*std::max_element(later, kib_.end())));
    }
    load.Print("rss_kib_at_end", static_cast<double>(kib_.back()));
    std::string line;
    for (size_t i = 0; i < kib_.size(); ++i) absl::StrAppend(&line, line.empty() ? "" : " ", i + 1, ":", kib_[i]);
    load.Print("rss_kib_timeline", line);
  }

 private:
  const double seconds_;
  std::vector<int64_t> kib_;
};

int Main(int argc, char** argv) {
  Load load("producer_consumer", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t producers = absl::GetFlag(FLAGS_producers);
  const int64_t consumers = absl::GetFlag(FLAGS_consumers);
  const int64_t batch_size = absl::GetFlag(FLAGS_batch);
  const int64_t blocks = absl::GetFlag(FLAGS_blocks);
  const double seconds = absl::GetFlag(FLAGS_seconds);
  const int64_t min_size = absl::GetFlag(FLAGS_min_size);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  CheckRange("producers", producers, 1, 10'000);
  CheckRange("consumers", consumers, 1, 10'000);
  CheckRange("batch", batch_size, 1, 1'000'000);
  CheckRange("blocks", blocks, 1, int64_t{1} << 50);
  CheckRange("min_size", min_size, kLeastSelfSized, int64_t{1} << 30);
  CheckRange("max_size", max_size, min_size, int64_t{1} << 30);
  if (!(seconds >= 0 && seconds <= 1e6))
    UsageError(absl::StrCat("--seconds=", seconds, " is not between 0 and 1000000"));

  std::vector<std::unique_ptr<Queue>> queues;
  for (int64_t i = 0; i < consumers; ++i) queues.push_back(std::make_unique<Queue>(static_cast<size_t>(batch_size)));
  std::vector<uint64_t> produced(static_cast<size_t>(producers));
  std::mutex mutex;
  int64_t producing = producers;
  const auto seed = static_cast<uint64_t>(absl::GetFlag(FLAGS_seed));

  Samples samples(seconds);
  load.Start();
  const double start = WallSeconds();
  const auto produce = [&](int index) {
    Random random(seed + static_cast<uint64_t>(index));
    const auto share = static_cast<uint64_t>(blocks / producers + (index < blocks % producers ? 1 : 0));
    uint64_t done = 0;
    size_t next = static_cast<size_t>(index) % queues.size();
    while (seconds > 0 || done < share) {
      if (seconds > 0) {
        if (WallSeconds() - start >= seconds) break;
      }
      Queue* queue = queues[next].get();
      next = (next + 1) % queues.size();
      std::unique_ptr<Batch> batch = queue->Spare();
      const uint64_t left = seconds > 0 ? static_cast<uint64_t>(batch_size) : share - done;
      const uint64_t count = std::min(static_cast<uint64_t>(batch_size), left);
      for (uint64_t i = 0; i < count; ++i) {
        batch->push_back(
            NewSelfSizedBlock(random.Between(static_cast<uint64_t>(min_size), static_cast<uint64_t>(max_size))));
      }
      done += count;
      queue->Push(std::move(batch));
    }
    produced[static_cast<size_t>(index)] = done;
    std::lock_guard lock(mutex);
    if (--producing == 0) {
      for (auto& queue : queues) queue->End();
    }
  };
  const auto consume = [&](int index) {
    Queue* queue = queues[static_cast<size_t>(index)].get();
    while (std::unique_ptr<Batch> batch = queue->Pop()) {
      for (void* block : *batch) DropSelfSizedBlock(block);
      queue->GiveBack(std::move(batch));
    }
  };
  const int working = static_cast<int>(producers + consumers);
  RunThreads(working + (seconds > 0 ? 1 : 0), [&](int index) {
    if (index == working) return samples.Take();
    index < producers ? produce(index) : consume(index - static_cast<int>(producers));
  });
  uint64_t total = 0;
  for (const uint64_t count : produced) total += count;
  load.Finish(2 * total);
  samples.Report(load);
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
