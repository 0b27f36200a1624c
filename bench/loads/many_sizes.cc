// Every thread replaces random blocks of its own live set; sizes are spread evenly over the powers of two up to 16 KB,
// so that every size class is in use, few blocks of each, and slabs fill and empty all the time.
#include <cmath>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, threads, 2, "threads");
ABSL_FLAG(int64_t, live, 4096, "most blocks alive in each thread");
ABSL_FLAG(int64_t, replacements, 4'000'000, "visits to a random place in each thread");
ABSL_FLAG(int64_t, min_size, 16, "smallest block in bytes");
ABSL_FLAG(int64_t, max_size, 16'384, "largest block in bytes");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes and places");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "many_sizes [flags]\n\n"
    "Fills and empties random places of a live set with blocks of many sizes. An operation is one malloc or free.";

struct Slot {
  void* block = nullptr;
  size_t size = 0;
};

int Main(int argc, char** argv) {
  Load load("many_sizes", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t threads = absl::GetFlag(FLAGS_threads);
  const int64_t live = absl::GetFlag(FLAGS_live);
  const int64_t replacements = absl::GetFlag(FLAGS_replacements);
  const int64_t min_size = absl::GetFlag(FLAGS_min_size);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  CheckRange("threads", threads, 1, 10'000);
  CheckRange("live", live, 1, int64_t{1} << 32);
  CheckRange("replacements", replacements, 1, int64_t{1} << 50);
  CheckRange("min_size", min_size, 1, int64_t{1} << 30);
  CheckRange("max_size", max_size, min_size, int64_t{1} << 30);

  Random seeds(static_cast<uint64_t>(absl::GetFlag(FLAGS_seed)));
  std::vector<uint32_t> sizes(1 << 14);
  const double low = std::log2(static_cast<double>(min_size));
  const double high = std::log2(static_cast<double>(max_size));
  for (uint32_t& size : sizes) size = static_cast<uint32_t>(std::exp2(low + (high - low) * seeds.Unit()));
  std::vector<uint64_t> operations(static_cast<size_t>(threads));

  load.Start();
  const uint64_t seed = seeds.Next();
  RunThreads(static_cast<int>(threads), [&](int index) {
    Random random(seed + static_cast<uint64_t>(index));
    std::vector<Slot> slots(static_cast<size_t>(live));
    uint64_t calls = 0;
    for (int64_t i = 0; i < replacements; ++i) {
      Slot& slot = slots[random.Below(static_cast<uint64_t>(live))];
      if (slot.block != nullptr) {
        DropBlock(slot.block, slot.size);
        slot.block = nullptr;
        ++calls;
      }
      // A place in four stays empty for a while, so that the live set breathes.
      const uint64_t drawn = random.Next();
      if ((drawn & 3) != 0) {
        slot.size = sizes[drawn >> 50];
        slot.block = NewBlock(slot.size);
        ++calls;
      }
    }
    for (Slot& slot : slots) {
      if (slot.block == nullptr) continue;
      DropBlock(slot.block, slot.size);
      ++calls;
    }
    operations[static_cast<size_t>(index)] = calls;
  });
  uint64_t total = 0;
  for (const uint64_t calls : operations) total += calls;
  load.Finish(total);
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
