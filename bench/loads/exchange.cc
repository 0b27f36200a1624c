// Threads that exchange blocks through a shared table, die and are born anew. A part of what every thread allocates
// outlives it: what an allocator keeps for a thread has to be adopted by others.
#include <atomic>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, threads, 4, "threads of a generation");
ABSL_FLAG(int64_t, generations, 50, "how often all threads die and are born anew");
ABSL_FLAG(int64_t, exchanges, 50'000, "blocks that a thread allocates and puts into the table");
ABSL_FLAG(int64_t, slots, 20'000, "places of the shared table");
ABSL_FLAG(int64_t, survivors, 500,
          "blocks that every thread leaves behind until the end of the next generation but one");
ABSL_FLAG(int64_t, max_size, 2000, "largest block in bytes; small ones are likelier");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes and places");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "exchange [flags]\n\n"
    "Threads swap new blocks for old ones in a shared table, free those, and die. An operation is one malloc or free.";

// Half of all blocks below a sixteenth of the largest size.
size_t RandomSize(Random* random, uint64_t most) {
  const uint64_t bound = random->Below(2) == 0 ? most : most / 16;
  return kLeastSelfSized + random->Below(bound - kLeastSelfSized + 1);
}

int Main(int argc, char** argv) {
  Load load("exchange", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t threads = absl::GetFlag(FLAGS_threads);
  const int64_t generations = absl::GetFlag(FLAGS_generations);
  const int64_t exchanges = absl::GetFlag(FLAGS_exchanges);
  const int64_t slots = absl::GetFlag(FLAGS_slots);
  const int64_t survivors = absl::GetFlag(FLAGS_survivors);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  CheckRange("threads", threads, 1, 10'000);
  CheckRange("generations", generations, 1, 10'000'000);
  CheckRange("exchanges", exchanges, 1, int64_t{1} << 40);
  CheckRange("slots", slots, 1, 100'000'000);
  CheckRange("survivors", survivors, 0, 10'000'000);
  CheckRange("max_size", max_size, 16 * kLeastSelfSized, int64_t{1} << 30);

  std::vector<std::atomic<void*>> table(static_cast<size_t>(slots));
  for (auto& slot : table) slot.store(nullptr, std::memory_order_relaxed);  // no other thread yet
  std::vector<std::vector<void*>> left(static_cast<size_t>(threads * 2));
  for (auto& blocks : left) blocks.reserve(static_cast<size_t>(survivors));
  Random seeds(static_cast<uint64_t>(absl::GetFlag(FLAGS_seed)));
  std::atomic<uint64_t> operations{0};

  load.Start();
  for (int64_t generation = 0; generation < generations; ++generation) {
    const uint64_t seed = seeds.Next();
    RunThreads(static_cast<int>(threads), [&](int index) {
      Random random(seed + static_cast<uint64_t>(index));
      uint64_t calls = 0;
      // What the thread of this place left two generations ago goes first.
      auto& mine = left[static_cast<size_t>(index + (generation % 2) * threads)];
      for (void* block : mine) DropSelfSizedBlock(block);
      calls += mine.size();
      mine.clear();
      for (int64_t i = 0; i < survivors; ++i) {
        mine.push_back(NewSelfSizedBlock(RandomSize(&random, static_cast<uint64_t>(max_size))));
      }
      for (int64_t i = 0; i < exchanges; ++i) {
        void* block = NewSelfSizedBlock(RandomSize(&random, static_cast<uint64_t>(max_size)));
        // acq_rel: the contents of the block given have to be seen by its next holder, those of the block got by us.
        block = table[random.Below(static_cast<uint64_t>(slots))].exchange(block, std::memory_order_acq_rel);
        if (block != nullptr) {
          DropSelfSizedBlock(block);
          ++calls;
        }
      }
      calls += static_cast<uint64_t>(survivors + exchanges);
      operations.fetch_add(calls, std::memory_order_relaxed);  // read after all threads were joined
    });
  }
  load.Finish(operations.load(std::memory_order_relaxed));
  for (auto& slot : table) {
    if (void* block = slot.load(std::memory_order_relaxed); block != nullptr) DropSelfSizedBlock(block);
  }
  for (auto& blocks : left) {
    for (void* block : blocks) DropSelfSizedBlock(block);
  }
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
