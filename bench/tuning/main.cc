// Repeats the choice of size classes, slab sizes and list bounds over recorded programs, and says what it would choose.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/harness/flags.h"
#include "bench/tuning/class_table.h"
#include "bench/tuning/list_simulation.h"
#include "bench/tuning/recording.h"
#include "bench/tuning/sizes.h"

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "tune RECORDING...\n\n"
    "Compares classes, slabs and lists over recordings (HAKMEM_TRACE, or streams of testing/op_stream). '*' marks what "
    "is in use, '>' what "
    "the figures recommend.";

// A row of a table: a figure for each program, and their mean.
struct Row {
  std::string name;
  bool in_use = false;
  std::vector<double> figures;
  double mean() const {
    double sum = 0;
    for (const double figure : figures) sum += figure;
    return figures.empty() ? 0 : sum / static_cast<double>(figures.size());
  }
};

void PrintHead(const char* title, const char* first, const std::vector<Recording>& recordings) {
  std::printf("\n## %s\n\n| | %s |", title, first);
  for (const Recording& recording : recordings) std::printf(" %s |", recording.name.c_str());
  std::printf(" mean |\n|---|---|");
  for (const char* bar = std::strchr(first, '|'); bar != nullptr; bar = std::strchr(bar + 1, '|')) std::printf("---:|");
  for (size_t i = 0; i <= recordings.size(); ++i) std::printf("---:|");
  std::printf("\n");
}

void PrintRow(const Row& row, bool recommended, const char* format) {
  std::printf("| %s%s | %s |", row.in_use ? "*" : "", recommended ? ">" : "", row.name.c_str());
  const auto cell = [&](double value) {
    std::printf(" %s |", absl::StrFormat(*absl::ParsedFormat<'f'>::New(format), value).c_str());
  };
  for (const double figure : row.figures) cell(figure);
  cell(row.mean());
  std::printf("\n");
}

std::vector<ClassTable> Tables() {
  std::vector<ClassTable> tables{ClassTable::InUse()};
  for (const uint32_t last : {128u, 256u, 512u, 1024u, 2048u}) {
    for (const uint32_t a_doubling : {4u, 8u, 16u}) {
      ClassTable table = ClassTable::Stepped(16, last, a_doubling);
      if (!table.SameSizes(tables[0])) tables.push_back(std::move(table));
    }
  }
  tables.push_back(ClassTable::Stepped(32, 1024, 8));
  return tables;
}

// Of the tables that waste an eighth of a block at most, the one with the fewest classes among those whose mean waste
// lies within half a percent of the least: each class costs a list in every thread, and a slab that is not full.
void CompareTables(const std::vector<Recording>& recordings) {
  PrintHead("Waste inside blocks, in percent of the bytes in blocks, weighed by time alive",
            "table | classes | worst above 128 B", recordings);
  const std::vector<ClassTable> tables = Tables();
  std::vector<Row> rows;
  double least = 100;
  for (const ClassTable& table : tables) {
    Row row{absl::StrFormat("%s | %d | %.1f", table.name(), table.sizes().size(), 100 * table.WorstWaste(128)),
            rows.empty(),
            {}};
    for (const Recording& recording : recordings) {
      row.figures.push_back(100 * InnerWaste(CountSizes(recording), table));
    }
    if (table.WorstWaste(128) <= 0.125) least = std::min(least, row.mean());
    rows.push_back(std::move(row));
  }
  size_t best = tables.size();
  for (size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].WorstWaste(128) > 0.125 || rows[i].mean() > least + 0.5) continue;
    if (best == tables.size() || tables[i].sizes().size() < tables[best].sizes().size()) best = i;
  }
  for (size_t i = 0; i < rows.size(); ++i) PrintRow(rows[i], i == best, "%.2f");
}

// The largest slab that keeps at most a hundredth more memory than the leanest: a slab that is not empty keeps the
// pages that were handed out, so large slabs keep more; small ones are entered and left more often.
void CompareSlabs(const std::vector<Recording>& recordings) {
  PrintHead("Bytes resident in slabs for each byte asked for, in the mean over time (blocks up to 32 KiB)",
            "slab | spans entered for a million calls | tail waste, mean of classes, percent", recordings);
  const ClassTable table = ClassTable::InUse();
  std::vector<Row> rows;
  for (uint32_t slab = 16 << 10; slab <= 512 << 10; slab *= 2) {
    double tail = 0;
    for (const uint32_t size : table.sizes()) tail += 100 * SpanFor(size, slab).tail_waste();
    Row row{"", slab == kSlabInUse, {}};
    double entered = 0;
    double operations = 0;
    for (const Recording& recording : recordings) {
      const ListCosts costs = SimulateLists(recording, BoundsInUse(), slab);
      row.figures.push_back(costs.asked == 0 ? 0 : costs.resident / costs.asked);
      entered += static_cast<double>(costs.slabs);
      operations += static_cast<double>(costs.operations);
    }
    row.name = absl::StrFormat("%d KiB | %.0f | %.2f", slab >> 10, 1e6 * entered / std::max(operations, 1.0),
                               tail / static_cast<double>(table.sizes().size()));
    rows.push_back(std::move(row));
  }
  double least = rows[0].mean();
  for (const Row& row : rows) least = std::min(least, row.mean());
  size_t best = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].mean() <= least * 1.01) best = i;
  }
  for (size_t i = 0; i < rows.size(); ++i) PrintRow(rows[i], i == best, "%.3f");
}

std::string Name(const ListBounds& bounds) {
  return absl::StrCat(bounds.list_bytes >> 10, " KiB, ", bounds.list_blocks, " blocks, ", bounds.batch_bytes >> 10,
                      " and ", bounds.all_batches_bytes >> 10, " KiB");
}

std::vector<ListBounds> Bounds() {
  std::vector<ListBounds> all{BoundsInUse()};
  for (const size_t list : {8u, 16u, 32u, 64u, 128u}) {
    for (const size_t batches : {0u, 1u, 2u, 4u, 16u}) {
      const ListBounds bounds{list << 10, 1024, std::min<size_t>(batches, 4) * (32 << 10), batches * (64 << 10)};
      if (!(bounds == all[0])) all.push_back(bounds);
    }
  }
  for (const size_t blocks : {64u, 256u}) {
    ListBounds bounds = BoundsInUse();
    bounds.list_blocks = blocks;
    all.push_back(bounds);
  }
  return all;
}

// Work off the hit path, for each million of calls: a refill looks at a slab, a block given back by itself touches
// another. The recommended bounds keep the least memory in lists among those that need at most a twentieth more of that
// work than the best.
void CompareLists(const std::vector<Recording>& recordings) {
  PrintHead("Refills and blocks given back one by one, for each million of calls",
            "a list, batches of a class and of all | most KiB free in lists", recordings);
  std::vector<Row> rows;
  std::vector<uint64_t> listed;
  for (const ListBounds& bounds : Bounds()) {
    Row row{"", rows.empty(), {}};
    uint64_t most = 0;
    for (const Recording& recording : recordings) {
      const ListCosts costs = SimulateLists(recording, bounds, kSlabInUse);
      row.figures.push_back(1e6 * static_cast<double>(costs.refills + costs.given_back) /
                            static_cast<double>(std::max<uint64_t>(1, costs.operations)));
      most = std::max(most, costs.listed_bytes);
    }
    row.name = absl::StrCat(Name(bounds), " | ", most >> 10);
    rows.push_back(std::move(row));
    listed.push_back(most);
  }
  double least = rows[0].mean();
  for (const Row& row : rows) least = std::min(least, row.mean());
  size_t best = rows.size();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].mean() <= least * 1.05 && (best == rows.size() || listed[i] < listed[best])) best = i;
  }
  for (size_t i = 0; i < rows.size(); ++i) PrintRow(rows[i], i == best, "%.0f");
}

int Main(int argc, char** argv) {
  const std::vector<std::string> paths = ParseFlags(kUsage, argc, argv);
  if (paths.empty()) UsageError("no recording is named");
  std::vector<Recording> recordings;
  for (const std::string& path : paths) {
    std::string fault;
    recordings.emplace_back();
    if (!ReadRecording(path, &recordings.back(), &fault)) UsageError(fault);
  }
  CompareTables(recordings);
  CompareSlabs(recordings);
  CompareLists(recordings);
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
