// Back and forth at every level of a heap: do a few frees and as many mallocs cost more where they cross a threshold?
//
// An allocator changes what it does when a list is full, a batch too many, a slab or a superslab empty, more memory
// idle than it keeps. A program that goes back and forth just there pays for the change each time, unless down and up
// have thresholds apart. The load knows none of them. It fills a heap, frees it piece by piece, and at each level goes
// back and forth by one piece; the same work at every level, so the median level is the price away from any edge, and
// the dearest one the price on the worst.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/latency.h"
#include "bench/harness/load.h"

ABSL_FLAG(int64_t, size, 0, "bytes of a block; 0 for 64 B, 1 KiB, 12 KiB, 100 KiB and 1.5 MiB in turn");
ABSL_FLAG(int64_t, levels, 192, "levels from full to empty");
ABSL_FLAG(int64_t, operations, 6000,
          "mallocs and frees between two looks at the clock, or as many as a millisecond allows");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "ping_pong [flags]\n\n"
    "Frees a heap piece by piece and goes back and forth at each level. An operation is one malloc or free. edge_loss "
    "is "
    "what "
    "the dearest level costs more than the median one, in percent, the worst of all sizes and pieces.";

// A level that looks dear is looked at again so often: what else runs on the machine comes and goes, an edge stays.
constexpr int kSecondLooks = 12;
constexpr double kSuspicious = 1.03;

// Where each call takes microseconds, fewer of them are as good.
constexpr double kMostNanoseconds = 1e6;

// Blocks of one size, freed from the end.
class Heap {
 public:
  Heap(size_t size, size_t blocks) : size_(size), blocks_(blocks, nullptr) { Up(blocks); }
  ~Heap() { Down(live_); }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  void Down(size_t count) {
    for (size_t i = 0; i < count; ++i) DropBlock(blocks_[--live_], size_);
    operations_ += count;
  }
  void Up(size_t count) {
    for (size_t i = 0; i < count; ++i) blocks_[live_++] = NewBlock(size_);
    operations_ += count;
  }

  // Ticks for each malloc and free when it goes `rounds` times back and forth by `piece` blocks.
  double BackAndForth(size_t piece, uint64_t rounds) {
    const uint64_t start = Ticks();
    for (uint64_t i = 0; i < rounds; ++i) {
      Down(piece);
      Up(piece);
    }
    return static_cast<double>(Ticks() - start) / static_cast<double>(rounds) / static_cast<double>(2 * piece);
  }

  size_t live() const { return live_; }
  uint64_t operations() const { return operations_; }

 private:
  const size_t size_;
  std::vector<void*> blocks_;
  size_t live_ = 0;
  uint64_t operations_ = 0;
};

struct Result {
  double median = 0;
  double worst = 0;
  size_t worst_live_bytes = 0;
  size_t dear = 0;  // levels more than a twentieth above the median
  uint64_t operations = 0;
};

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

Result Sweep(size_t size, size_t piece, int64_t levels, uint64_t operations) {
  Result result;
  const double most_ticks = kMostNanoseconds / NanosecondsPerTick();
  Heap heap(size, piece * static_cast<size_t>(levels + 1));
  std::vector<std::pair<double, size_t>> costs;  // ticks, live blocks
  std::vector<double> ticks;
  costs.reserve(static_cast<size_t>(levels));
  ticks.reserve(static_cast<size_t>(levels));
  for (int64_t level = 0; level < levels; ++level) {
    // Once for the change to this level itself, which may well cost something, and once more to see how long it takes.
    heap.BackAndForth(piece, 1);
    const double ticks_a_round = heap.BackAndForth(piece, 1) * static_cast<double>(2 * piece);
    const uint64_t rounds =
        std::clamp<uint64_t>(static_cast<uint64_t>(most_ticks / ticks_a_round), 2, operations / (2 * piece) + 2);
    double cost = std::min(heap.BackAndForth(piece, rounds), heap.BackAndForth(piece, rounds));
    for (int look = 0; look < kSecondLooks && !ticks.empty() && cost > kSuspicious * Median(ticks); ++look) {
      cost = std::min(cost, heap.BackAndForth(piece, rounds));
    }
    costs.emplace_back(cost, heap.live());
    ticks.push_back(cost);
    heap.Down(piece);
  }
  result.median = Median(ticks);
  for (const auto& [cost, live] : costs) {
    if (cost > 1.05 * result.median) ++result.dear;
    if (cost <= result.worst) continue;
    result.worst = cost;
    result.worst_live_bytes = live * size;
  }
  result.operations = heap.operations();
  return result;
}

int Main(int argc, char** argv) {
  Load load("ping_pong", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t only = absl::GetFlag(FLAGS_size);
  const int64_t levels = absl::GetFlag(FLAGS_levels);
  const int64_t least = absl::GetFlag(FLAGS_operations);
  CheckRange("size", only, 0, int64_t{1} << 26);
  CheckRange("levels", levels, 3, 100'000);
  CheckRange("operations", least, 1, 100'000'000);
  std::vector<size_t> sizes{64, 1024, size_t{12} << 10, size_t{100} << 10, size_t{3} << 19};
  if (only > 0) sizes = {static_cast<size_t>(only)};

  load.Start();
  uint64_t operations = 0;
  double worst = 0;
  std::vector<std::pair<std::string, std::string>> lines;
  const double scale = NanosecondsPerTick();
  for (const size_t size : sizes) {
    // A piece below and one above what lists and slabs of small blocks hold.
    size_t last_piece = 0;
    for (const size_t bytes : {size_t{32} << 10, size_t{160} << 10}) {
      const size_t piece = std::max<size_t>(1, bytes / size);
      if (piece == last_piece) continue;
      last_piece = piece;
      const Result result = Sweep(size, piece, levels, static_cast<uint64_t>(least));
      operations += result.operations;
      const double loss = (result.worst / result.median - 1) * 100;
      worst = std::max(worst, loss);
      const std::string key = absl::StrCat("_", size, "_", piece);
      lines.emplace_back("edge_loss_percent" + key, absl::StrCat(loss));
      lines.emplace_back("dear_levels" + key, absl::StrCat(result.dear));
      lines.emplace_back("edge_ns" + key, absl::StrCat(result.worst * scale));
      lines.emplace_back("median_ns" + key, absl::StrCat(result.median * scale));
      lines.emplace_back("edge_at_live_bytes" + key, absl::StrCat(result.worst_live_bytes));
    }
  }
  load.Finish(operations);
  load.Print("edge_loss_percent", worst);
  for (const auto& [key, value] : lines) load.Print(key, value);
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
