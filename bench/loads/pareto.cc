// A long-lived set of small blocks whose sizes follow a Pareto distribution, as those of servers and object stores do:
// most are tiny, few are large. Random ones are replaced, and from time to time all are read in the order of their age,
// so that both packing and locality count.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, live, 300'000, "blocks alive");
ABSL_FLAG(int64_t, replacements, 6'000'000, "blocks replaced");
ABSL_FLAG(int64_t, sweep_every, 300'000, "read all blocks after so many replacements; 0: never");
ABSL_FLAG(double, alpha, 1.0, "shape of the distribution: the larger, the fewer large blocks");
ABSL_FLAG(int64_t, min_size, 8, "smallest block in bytes");
ABSL_FLAG(int64_t, max_size, 1024, "largest block in bytes");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes and places");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "pareto [flags]\n\n"
    "Replaces random blocks of a large live set with Pareto sizes. An operation is one malloc or free.";

struct Slot {
  void* block;
  size_t size;
};

int Main(int argc, char** argv) {
  Load load("pareto", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t live = absl::GetFlag(FLAGS_live);
  const int64_t replacements = absl::GetFlag(FLAGS_replacements);
  const int64_t sweep_every = absl::GetFlag(FLAGS_sweep_every);
  const double alpha = absl::GetFlag(FLAGS_alpha);
  const int64_t min_size = absl::GetFlag(FLAGS_min_size);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  CheckRange("live", live, 1, int64_t{1} << 32);
  CheckRange("replacements", replacements, 0, int64_t{1} << 50);
  CheckRange("sweep_every", sweep_every, 0, int64_t{1} << 50);
  CheckRange("min_size", min_size, 1, int64_t{1} << 30);
  CheckRange("max_size", max_size, min_size, int64_t{1} << 30);
  if (!(alpha > 0 && alpha <= 100)) UsageError(absl::StrCat("--alpha=", alpha, " is not above 0 and at most 100"));

  Random random(static_cast<uint64_t>(absl::GetFlag(FLAGS_seed)));
  // Drawing a size takes a power function; a table keeps that out of the measured loop.
  std::vector<uint32_t> sizes(1 << 16);
  for (uint32_t& size : sizes) {
    const double drawn = static_cast<double>(min_size) / std::pow(random.Unit(), 1 / alpha);
    size = static_cast<uint32_t>(std::min(drawn, static_cast<double>(max_size)));
  }
  std::vector<Slot> slots(static_cast<size_t>(live));

  load.Start();
  for (Slot& slot : slots) {
    slot.size = sizes[random.Next() & 0xFFFF];
    slot.block = NewBlock(slot.size);
  }
  for (int64_t i = 0; i < replacements; ++i) {
    Slot& slot = slots[random.Below(static_cast<uint64_t>(live))];
    DropBlock(slot.block, slot.size);
    slot.size = sizes[random.Next() & 0xFFFF];
    slot.block = NewBlock(slot.size);
    if (sweep_every != 0 && i % sweep_every == sweep_every - 1) {
      for (const Slot& each : slots) CheckBlock(each.block, each.size);
    }
  }
  for (Slot& slot : slots) DropBlock(slot.block, slot.size);
  load.Finish(2 * static_cast<uint64_t>(live + replacements));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
