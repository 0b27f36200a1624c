// Small blocks freed in the order of a stack and in the order of a queue, in one program: an allocator whose lists suit
// one order pays for it in the other. A tenth of each batch lives until the next batch has come and gone.
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, threads, 1, "threads");
ABSL_FLAG(int64_t, batch, 20'000, "blocks of a batch");
ABSL_FLAG(int64_t, batches, 500, "batches of each thread");
ABSL_FLAG(int64_t, min_size, 1, "smallest block in bytes");
ABSL_FLAG(int64_t, max_size, 400, "largest block in bytes; small ones are likelier");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "lifo_reverse [flags]\n\n"
    "Batches of small blocks, freed in turn last first and first first. An operation is one malloc or free.";

struct Slot {
  void* block;
  size_t size;
};

int Main(int argc, char** argv) {
  Load load("lifo_reverse", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t threads = absl::GetFlag(FLAGS_threads);
  const int64_t batch = absl::GetFlag(FLAGS_batch);
  const int64_t batches = absl::GetFlag(FLAGS_batches);
  const int64_t min_size = absl::GetFlag(FLAGS_min_size);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  CheckRange("threads", threads, 1, 10'000);
  CheckRange("batch", batch, 1, 100'000'000);
  CheckRange("batches", batches, 1, int64_t{1} << 40);
  CheckRange("min_size", min_size, 1, int64_t{1} << 30);
  CheckRange("max_size", max_size, min_size, int64_t{1} << 30);

  load.Start();
  RunThreads(static_cast<int>(threads), [&](int index) {
    Random random(static_cast<uint64_t>(absl::GetFlag(FLAGS_seed) + index));
    std::vector<Slot> slots(static_cast<size_t>(batch));
    std::vector<Slot> old;
    std::vector<Slot> kept;
    for (int64_t round = 0; round < batches; ++round) {
      for (Slot& slot : slots) {
        // The product of two draws favours small sizes.
        const uint64_t range = static_cast<uint64_t>(max_size - min_size + 1);
        slot.size = static_cast<uint64_t>(min_size) + random.Below(1 + random.Below(range));
        slot.block = NewBlock(slot.size);
      }
      for (size_t i = 0; i < slots.size(); ++i) {
        const Slot& slot = round % 2 == 0 ? slots[slots.size() - 1 - i] : slots[i];
        if (i % 10 == 9) {
          kept.push_back(slot);
        } else {
          DropBlock(slot.block, slot.size);
        }
      }
      for (const Slot& slot : old) DropBlock(slot.block, slot.size);
      old.clear();
      old.swap(kept);
    }
    for (const Slot& slot : old) DropBlock(slot.block, slot.size);
  });
  load.Finish(2 * static_cast<uint64_t>(threads * batch * batches));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
