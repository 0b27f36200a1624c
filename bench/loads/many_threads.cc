// Threads that allocate a little and end: what the start and the end of a thread cost, and what a sleeping thread
// holds.
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, threads, 10'000, "threads in all");
ABSL_FLAG(int64_t, at_a_time, 1, "threads alive together");
ABSL_FLAG(int64_t, blocks, 20, "blocks that each thread allocates; half of them are freed by the main thread");
ABSL_FLAG(int64_t, max_size, 1000, "largest block in bytes");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "many_threads [flags]\n\n"
    "Starts threads that allocate some blocks, meet, and end. An operation is one thread.";

// All threads of a group wait for the last, so that all are alive with their blocks at once.
class Meeting {
 public:
  explicit Meeting(int64_t count) : missing_(count) {}
  void Arrive() {
    std::unique_lock lock(mutex_);
    if (--missing_ == 0) {
      all_here_.notify_all();
    } else {
      all_here_.wait(lock, [this] { return missing_ == 0; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  int64_t missing_;
};

int Main(int argc, char** argv) {
  Load load("many_threads", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t threads = absl::GetFlag(FLAGS_threads);
  const int64_t at_a_time = absl::GetFlag(FLAGS_at_a_time);
  const int64_t blocks = absl::GetFlag(FLAGS_blocks);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  CheckRange("threads", threads, 1, 100'000'000);
  CheckRange("at_a_time", at_a_time, 1, 30'000);
  CheckRange("blocks", blocks, 0, 10'000'000);
  CheckRange("max_size", max_size, kLeastSelfSized, int64_t{1} << 30);

  std::vector<std::vector<void*>> left(static_cast<size_t>(at_a_time));
  for (auto& each : left) each.reserve(static_cast<size_t>(blocks));
  Random seeds(static_cast<uint64_t>(absl::GetFlag(FLAGS_seed)));
  load.Start();
  for (int64_t done = 0; done < threads;) {
    const int64_t group = at_a_time < threads - done ? at_a_time : threads - done;
    const uint64_t seed = seeds.Next();
    Meeting meeting(group);
    RunThreads(static_cast<int>(group), [&](int index) {
      Random random(seed + static_cast<uint64_t>(index));
      auto& mine = left[static_cast<size_t>(index)];
      for (int64_t i = 0; i < blocks; ++i) {
        mine.push_back(NewSelfSizedBlock(random.Between(kLeastSelfSized, static_cast<uint64_t>(max_size))));
      }
      meeting.Arrive();
      for (int64_t i = 0; i < blocks / 2; ++i) {
        DropSelfSizedBlock(mine.back());
        mine.pop_back();
      }
    });
    for (auto& each : left) {
      for (void* block : each) DropSelfSizedBlock(block);
      each.clear();
    }
    done += group;
  }
  load.Finish(static_cast<uint64_t>(threads));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
