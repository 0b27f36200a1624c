// The paths of an allocator by size of block: pairs, batches freed last first and first first, and random sizes over a
// live set. Google-benchmark flags work; with --benchmark_out the figures go to a file.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"
#include "benchmark/benchmark.h"

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "paths_benchmark [--benchmark_filter=REGEX] [--benchmark_min_time=SECONDS] [other flags of google-benchmark] "
    "[flags]\n\n"
    "Cost of malloc and free by size. Items are pairs of malloc and free.";

// Batches hold at most this much, so that the largest sizes do not measure the machine's memory.
constexpr size_t kBatchBytes = size_t{32} << 20;
constexpr size_t kBatchBlocks = 1000;

uint64_t pairs = 0;

size_t BatchOf(size_t size) { return std::clamp<size_t>(kBatchBytes / size, 2, kBatchBlocks); }

void Count(benchmark::State& state, size_t each) {
  const uint64_t items = static_cast<uint64_t>(state.iterations()) * each;
  state.SetItemsProcessed(static_cast<int64_t>(items));
  pairs += items;
}

void Pair(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  for (auto _ : state) DropBlock(NewBlock(size), size);
  Count(state, 1);
}

void BatchLifo(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  std::vector<void*> blocks(BatchOf(size));
  for (auto _ : state) {
    for (void*& block : blocks) block = NewBlock(size);
    for (size_t i = blocks.size(); i-- > 0;) DropBlock(blocks[i], size);
  }
  Count(state, blocks.size());
}

void BatchFifo(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  std::vector<void*> blocks(BatchOf(size));
  for (auto _ : state) {
    for (void*& block : blocks) block = NewBlock(size);
    for (void* block : blocks) DropBlock(block, size);
  }
  Count(state, blocks.size());
}

// Sizes from half of the size given up to it.
void RandomLiveSet(benchmark::State& state) {
  struct Slot {
    void* block;
    size_t size;
  };
  const auto most = static_cast<size_t>(state.range(0));
  Random random(1);
  std::vector<Slot> slots(BatchOf(most));
  for (Slot& slot : slots) {
    slot.size = random.Between(most / 2, most);
    slot.block = NewBlock(slot.size);
  }
  for (auto _ : state) {
    Slot& slot = slots[random.Below(slots.size())];
    DropBlock(slot.block, slot.size);
    slot.size = random.Between(most / 2, most);
    slot.block = NewBlock(slot.size);
  }
  for (Slot& slot : slots) DropBlock(slot.block, slot.size);
  Count(state, 1);
}

void Sizes(benchmark::internal::Benchmark* benchmark) { benchmark->RangeMultiplier(2)->Range(8, 16 << 20); }

BENCHMARK(Pair)->Apply(Sizes);
BENCHMARK(BatchLifo)->Apply(Sizes);
BENCHMARK(BatchFifo)->Apply(Sizes);
BENCHMARK(RandomLiveSet)->Apply(Sizes);

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // takes its flags out of argv
  Load load("paths", kUsage, argc, argv);
  load.RefuseWords();
  load.Start();
  if (benchmark::RunSpecifiedBenchmarks() == 0) UsageError("no benchmark matches --benchmark_filter");
  load.Finish(2 * pairs);
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
