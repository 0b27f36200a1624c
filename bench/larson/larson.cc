// The server load that Larson and Krishnan describe in "Memory allocation for long-running server applications" (1998),
// written anew from that description: every worker holds an array of blocks and replaces random ones by blocks of
// random size; after some rounds it hands the array to a new thread and ends, so that most blocks are freed by another
// thread than the one that allocated them, often by one born after the allocator of the block died.
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/latency.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, threads, 1, "workers at a time");
ABSL_FLAG(double, seconds, 5, "how long the workers run");
ABSL_FLAG(int64_t, min_size, 8, "smallest block in bytes");
ABSL_FLAG(int64_t, max_size, 1000, "largest block in bytes");
ABSL_FLAG(int64_t, chunks, 5000, "blocks that each worker holds");
ABSL_FLAG(int64_t, rounds, 100, "a worker replaces rounds * chunks blocks before a new thread takes over");
ABSL_FLAG(int64_t, seed, 4141, "of the random sizes and places");
ABSL_FLAG(bool, sized_delete, false, "use operator new and the operator delete that is told the size");
ABSL_FLAG(bool, latency, false, "time each malloc and free, and print percentiles; the load itself gets slower");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "larson [flags]\n"
    "larson SECONDS MIN_SIZE MAX_SIZE CHUNKS ROUNDS SEED THREADS\n\n"
    "Server load: workers replace random blocks of random size and hand their blocks to a new thread after some "
    "rounds.\n"
    "An operation is a block replaced: one free and one malloc.";

struct Options {
  int64_t threads, min_size, max_size, chunks, rounds, seed;
  double seconds;
};

struct Slot {
  void* block;
  size_t size;
};

struct MallocFree {
  static void* New(size_t size) { return std::malloc(size); }
  static void Delete(void* block, size_t) { std::free(block); }
};

struct SizedDelete {
  static void* New(size_t size) { return ::operator new(size, std::nothrow); }
  static void Delete(void* block, size_t size) { ::operator delete(block, size); }
};

// What one chain of workers hands on from generation to generation.
struct Worker {
  std::vector<Slot> slots;
  Random random{0};
  uint64_t operations = 0;
  uint64_t generations = 0;
  LatencyHistogram malloc_latency;
  LatencyHistogram free_latency;
};

class Larson {
 public:
  explicit Larson(const Options& options) : options_(options) {}

  template <typename Calls, bool kTimed>
  void Run(Load* load) {
    Random random(static_cast<uint64_t>(options_.seed));
    workers_.resize(static_cast<size_t>(options_.threads));
    for (auto& worker : workers_) {
      worker = std::make_unique<Worker>();
      worker->slots.resize(static_cast<size_t>(options_.chunks));
      worker->random = Random(random.Next());
      for (Slot& slot : worker->slots) Fill<Calls>(&slot, RandomSize(&random));
    }
    Shuffle(&random);

    load->Start();
    running_ = static_cast<int>(options_.threads);
    for (auto& worker : workers_) StartGeneration<Calls, kTimed>(worker.get());
    usleep(static_cast<useconds_t>(options_.seconds * 1e6));
    stop_.store(true, std::memory_order_relaxed);  // only ends the loops; the mutex below publishes their results
    {
      std::unique_lock lock(mutex_);
      all_done_.wait(lock, [this] { return running_ == 0; });
    }
    uint64_t operations = 0;
    for (const auto& worker : workers_) operations += worker->operations;
    load->Finish(operations);

    for (auto& worker : workers_) {
      for (Slot& slot : worker->slots) Drop<Calls>(&slot);
    }
    Report(*load, kTimed);
  }

 private:
  size_t RandomSize(Random* random) const {
    return random->Between(static_cast<uint64_t>(options_.min_size), static_cast<uint64_t>(options_.max_size));
  }

  // Ticks of a call between two looks at the clock.
  uint64_t Since(uint64_t start, uint64_t end) const {
    const uint64_t passed = end - start;
    return passed > clock_cost_ ? passed - clock_cost_ : 0;
  }

  template <typename Calls>
  static void Fill(Slot* slot, size_t size) {
    slot->size = size;
    slot->block = Calls::New(size);
    if (__builtin_expect(slot->block == nullptr, 0)) ReportNoMemory(size);
    StampBlock(slot->block, size);
  }

  template <typename Calls>
  static void Drop(Slot* slot) {
    CheckBlock(slot->block, slot->size);
    Calls::Delete(slot->block, slot->size);
  }

  // Blocks of neighbouring addresses go to different workers, as after a long time of running.
  void Shuffle(Random* random) {
    const size_t chunks = workers_[0]->slots.size();
    for (size_t left = workers_.size() * chunks; left > 1; --left) {
      const size_t other = random->Below(left);
      std::swap(workers_[(left - 1) / chunks]->slots[(left - 1) % chunks],
                workers_[other / chunks]->slots[other % chunks]);
    }
  }

  template <typename Calls, bool kTimed>
  void StartGeneration(Worker* worker) {
    try {
      std::thread(&Larson::Generation<Calls, kTimed>, this, worker).detach();
    } catch (const std::system_error& error) {
      std::fprintf(stderr, "larson: a worker could not be started: %s\n", error.what());
      std::_Exit(kExitNoResource);
    }
  }

  template <typename Calls, bool kTimed>
  void Generation(Worker* worker) {
    Replace<Calls, kTimed>(worker);
    ++worker->generations;
    if (!stop_.load(std::memory_order_relaxed)) {
      StartGeneration<Calls, kTimed>(worker);  // the start of a thread publishes `worker` to it
      return;
    }
    std::lock_guard lock(mutex_);
    if (--running_ == 0) all_done_.notify_one();
  }

  template <typename Calls, bool kTimed>
  void Replace(Worker* worker) {
    Random random = worker->random;
    const uint64_t count = static_cast<uint64_t>(options_.rounds) * static_cast<uint64_t>(options_.chunks);
    const uint64_t chunks = worker->slots.size();
    Slot* slots = worker->slots.data();
    uint64_t done = 0;
    while (done < count && !stop_.load(std::memory_order_relaxed)) {
      Slot* slot = &slots[random.Below(chunks)];
      const size_t size = RandomSize(&random);
      if constexpr (kTimed) {
        CheckBlock(slot->block, slot->size);
        const uint64_t start = Ticks();
        Calls::Delete(slot->block, slot->size);
        const uint64_t between = Ticks();
        slot->block = Calls::New(size);
        const uint64_t end = Ticks();
        slot->size = size;
        if (slot->block == nullptr) ReportNoMemory(size);
        StampBlock(slot->block, size);
        worker->free_latency.Add(Since(start, between));
        worker->malloc_latency.Add(Since(between, end));
      } else {
        Drop<Calls>(slot);
        Fill<Calls>(slot, size);
      }
      ++done;
    }
    worker->random = random;
    worker->operations += done;
  }

  void Report(const Load& load, bool timed) const {
    uint64_t generations = 0;
    LatencyHistogram malloc_latency;
    LatencyHistogram free_latency;
    for (const auto& worker : workers_) {
      generations += worker->generations;
      malloc_latency.Merge(worker->malloc_latency);
      free_latency.Merge(worker->free_latency);
    }
    load.Print("threads_born", static_cast<double>(generations));
    if (!timed) return;
    const double scale = NanosecondsPerTick();
    load.Print("latency_samples", static_cast<double>(malloc_latency.count()));
    load.Print("latency_clock_ns", static_cast<double>(clock_cost_) * scale);
    const std::pair<const char*, double> shares[] = {{"50", 0.5},     {"90", 0.9},       {"99", 0.99},
                                                     {"99.9", 0.999}, {"99.99", 0.9999}, {"99.999", 0.99999}};
    for (const auto& [name, share] : shares) {
      load.Print(absl::StrCat("malloc_latency_ns_", name),
                 static_cast<double>(malloc_latency.Percentile(share)) * scale);
      load.Print(absl::StrCat("free_latency_ns_", name), static_cast<double>(free_latency.Percentile(share)) * scale);
    }
    load.Print("malloc_latency_ns_most", static_cast<double>(malloc_latency.most()) * scale);
    load.Print("free_latency_ns_most", static_cast<double>(free_latency.most()) * scale);
  }

  const Options options_;
  const uint64_t clock_cost_ = ClockCost();
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable all_done_;
  int running_ = 0;
};

Options ReadOptions(const std::vector<std::string>& words) {
  Options options{absl::GetFlag(FLAGS_threads), absl::GetFlag(FLAGS_min_size), absl::GetFlag(FLAGS_max_size),
                  absl::GetFlag(FLAGS_chunks),  absl::GetFlag(FLAGS_rounds),   absl::GetFlag(FLAGS_seed),
                  absl::GetFlag(FLAGS_seconds)};
  if (!words.empty()) {
    if (words.size() != 7) {
      UsageError(
          absl::StrCat("7 numbers are expected (seconds, smallest size, largest size, chunks, rounds, seed, threads), ",
                       words.size(), " given"));
    }
    options.seconds = static_cast<double>(ParseNumber("seconds", words[0]));
    options.min_size = ParseNumber("smallest size", words[1]);
    options.max_size = ParseNumber("largest size", words[2]);
    options.chunks = ParseNumber("chunks", words[3]);
    options.rounds = ParseNumber("rounds", words[4]);
    options.seed = ParseNumber("seed", words[5]);
    options.threads = ParseNumber("threads", words[6]);
  }
  if (options.min_size > options.max_size) {
    UsageError(absl::StrCat("the sizes are the wrong way round: the smallest, ", options.min_size,
                            ", is above the largest, ", options.max_size));
  }
  CheckRange("min_size", options.min_size, 1, int64_t{1} << 30);
  CheckRange("max_size", options.max_size, 1, int64_t{1} << 30);
  CheckRange("threads", options.threads, 1, 10'000);
  CheckRange("chunks", options.chunks, 1, 100'000'000);
  CheckRange("rounds", options.rounds, 1, 1'000'000'000);
  // The upper bound is what usleep() takes; the comparison is written so that a NaN fails it.
  if (!(options.seconds > 0 && options.seconds <= 4000)) {
    UsageError(absl::StrCat("--seconds=", options.seconds, " is not above 0 and at most 4000"));
  }
  return options;
}

int Main(int argc, char** argv) {
  Load load("larson", kUsage, argc, argv);
  Larson larson(ReadOptions(load.words()));
  const bool sized = absl::GetFlag(FLAGS_sized_delete);
  const bool timed = absl::GetFlag(FLAGS_latency);
  if (sized) {
    timed ? larson.Run<SizedDelete, true>(&load) : larson.Run<SizedDelete, false>(&load);
  } else {
    timed ? larson.Run<MallocFree, true>(&load) : larson.Run<MallocFree, false>(&load);
  }
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
