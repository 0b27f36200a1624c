// Blocks of 1 to 25 MB, kept and dropped in turn and written over: page faults, reuse of mappings and zeroing decide.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, blocks, 1000, "blocks allocated");
ABSL_FLAG(int64_t, live, 12, "most blocks alive");
ABSL_FLAG(int64_t, min_size, 1'000'000, "smallest block in bytes");
ABSL_FLAG(int64_t, max_size, 25'000'000, "largest block in bytes");
ABSL_FLAG(int64_t, zeroed, 25, "percentage of blocks from calloc, whose zeros are checked");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes and places");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "large_blocks [flags]\n\n"
    "Large blocks, one word of every 4 KiB written. An operation is one malloc, calloc or free.";

constexpr size_t kStep = 4096;

struct Slot {
  char* block = nullptr;
  size_t size = 0;
};

void CheckZeros(const char* block, size_t size) {
  for (size_t at = 0; at < size; at += kStep) {
    if (block[at] != 0) ReportDamage(block, size, at, 0, static_cast<unsigned char>(block[at]));
  }
}

int Main(int argc, char** argv) {
  Load load("large_blocks", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t blocks = absl::GetFlag(FLAGS_blocks);
  const int64_t live = absl::GetFlag(FLAGS_live);
  const int64_t min_size = absl::GetFlag(FLAGS_min_size);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  const int64_t zeroed = absl::GetFlag(FLAGS_zeroed);
  CheckRange("blocks", blocks, 1, int64_t{1} << 40);
  CheckRange("live", live, 1, 1'000'000);
  CheckRange("min_size", min_size, 1, int64_t{1} << 32);
  CheckRange("max_size", max_size, min_size, int64_t{1} << 32);
  CheckRange("zeroed", zeroed, 0, 100);

  Random random(static_cast<uint64_t>(absl::GetFlag(FLAGS_seed)));
  std::vector<Slot> slots(static_cast<size_t>(live));
  load.Start();
  for (int64_t i = 0; i < blocks; ++i) {
    Slot& slot = slots[random.Below(static_cast<uint64_t>(live))];
    if (slot.block != nullptr) DropBlock(slot.block, slot.size);
    slot.size = random.Between(static_cast<uint64_t>(min_size), static_cast<uint64_t>(max_size));
    if (random.Below(100) < static_cast<uint64_t>(zeroed)) {
      slot.block = static_cast<char*>(std::calloc(1, slot.size));
      if (slot.block == nullptr) ReportNoMemory(slot.size);
      CheckZeros(slot.block, slot.size);
    } else {
      slot.block = static_cast<char*>(std::malloc(slot.size));
      if (slot.block == nullptr) ReportNoMemory(slot.size);
    }
    for (size_t at = 0; at < slot.size; at += kStep) slot.block[at] = static_cast<char>(at / kStep + 1);
    StampBlock(slot.block, slot.size);
  }
  for (Slot& slot : slots) {
    if (slot.block != nullptr) DropBlock(slot.block, slot.size);
  }
  load.Finish(2 * static_cast<uint64_t>(blocks));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
