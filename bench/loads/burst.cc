// A burst of small blocks, then idleness: how much memory comes back, and how soon, while the process only sleeps.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(
    std::string, mode, "all",
    "'all': everything is freed. 'exited': the same, but threads that have ended allocated it. 'survivors': 1 % at "
    "random places stays, and malloc_trim(0) is called after the idleness");
ABSL_FLAG(int64_t, bytes, int64_t{1} << 30, "size of the burst");
ABSL_FLAG(int64_t, min_size, 16, "smallest block in bytes");
ABSL_FLAG(int64_t, max_size, 512, "largest block in bytes");
ABSL_FLAG(int64_t, threads, 2, "'exited': threads that allocate");
ABSL_FLAG(double, idle, 2, "seconds of sleep after the burst, resident memory sampled twenty times a second");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes and survivors");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "burst [flags]\n\n"
    "Allocates a burst of small blocks, frees it and sleeps. An operation is one malloc or free; the report adds the "
    "resident memory over time.";

constexpr size_t kPage = 4096;

// Pages that hold a byte of a survivor; the others could be given back.
size_t PagesOf(const std::vector<std::pair<void*, size_t>>& blocks) {
  std::vector<uintptr_t> pages;
  for (const auto& [block, size] : blocks) {
    const auto address = reinterpret_cast<uintptr_t>(block);
    for (uintptr_t page = address / kPage; page <= (address + size - 1) / kPage; ++page) pages.push_back(page);
  }
  std::sort(pages.begin(), pages.end());
  return static_cast<size_t>(std::unique(pages.begin(), pages.end()) - pages.begin());
}

// All blocks of a thread hang on one list: a table of them would itself be a large block of the burst.
struct Head {
  Head* next;
  uint64_t size;
};

// The head replaced the front stamp; the end is still as NewBlock left it.
void CheckHead(const Head* head, size_t size) {
  const auto expected = static_cast<unsigned char>(BlockWord(head, size) >> 40);
  const auto* bytes = reinterpret_cast<const unsigned char*>(head);
  if (size > sizeof(Head) && bytes[size - 1] != expected) ReportDamage(head, size, size - 1, expected, bytes[size - 1]);
}

int Main(int argc, char** argv) {
  Load load("burst", kUsage, argc, argv);
  load.RefuseWords();
  const std::string mode = absl::GetFlag(FLAGS_mode);
  const int64_t bytes = absl::GetFlag(FLAGS_bytes);
  const int64_t min_size = absl::GetFlag(FLAGS_min_size);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  const double idle = absl::GetFlag(FLAGS_idle);
  if (mode != "all" && mode != "exited" && mode != "survivors") {
    UsageError(absl::StrCat("--mode=", mode, " is none of all, exited and survivors"));
  }
  const int64_t threads = mode == "exited" ? absl::GetFlag(FLAGS_threads) : 1;
  CheckRange("bytes", bytes, 1, int64_t{1} << 40);
  CheckRange("min_size", min_size, 16, int64_t{1} << 20);
  CheckRange("max_size", max_size, min_size, int64_t{1} << 20);
  CheckRange("threads", threads, 1, 10'000);
  if (!(idle >= 0 && idle <= 3600)) UsageError(absl::StrCat("--idle=", idle, " is not between 0 and 3600"));

  std::vector<Head*> lists(static_cast<size_t>(threads), nullptr);
  std::vector<uint64_t> counts(static_cast<size_t>(threads), 0);
  const auto seed = static_cast<uint64_t>(absl::GetFlag(FLAGS_seed));
  const int64_t before = StatusKib("VmRSS");

  load.Start();
  const double start = WallSeconds();
  std::vector<std::pair<double, int64_t>> timeline{{0, before}};
  const auto fill = [&](int index) {
    Random random(seed + static_cast<uint64_t>(index));
    Head* list = nullptr;
    uint64_t count = 0;
    for (int64_t left = bytes / threads; left > 0; ++count) {
      const size_t size = random.Between(static_cast<uint64_t>(min_size), static_cast<uint64_t>(max_size));
      auto* head = static_cast<Head*>(NewBlock(size));
      *head = {list, size};
      list = head;
      left -= static_cast<int64_t>(size);
    }
    lists[static_cast<size_t>(index)] = list;
    counts[static_cast<size_t>(index)] = count;
  };
  if (mode == "exited") {
    RunThreads(static_cast<int>(threads), fill);
  } else {
    fill(0);
  }
  const int64_t full = StatusKib("VmRSS");
  timeline.emplace_back(WallSeconds() - start, full);

  std::vector<std::pair<void*, size_t>> survivors;
  if (mode == "survivors") survivors.reserve(counts[0] / 50 + 1000);
  Random random(seed + 99);
  for (Head* list : lists) {
    while (list != nullptr) {
      Head* next = list->next;
      if (mode == "survivors" && random.Below(100) == 0) {
        const size_t size = list->size;
        StampBlock(list, size);
        survivors.emplace_back(list, size);
      } else {
        CheckHead(list, list->size);
        std::free(list);
      }
      list = next;
    }
  }
  uint64_t operations = 0;
  for (const uint64_t count : counts) operations += 2 * count;
  load.Finish(operations - survivors.size());

  const int64_t at_once = StatusKib("VmRSS");
  const double freed = WallSeconds();
  int64_t after_1_s = at_once;
  timeline.emplace_back(freed - start, at_once);
  while (WallSeconds() - freed < idle) {
    usleep(50'000);
    const int64_t now = StatusKib("VmRSS");
    timeline.emplace_back(WallSeconds() - start, now);
    if (WallSeconds() - freed <= 1.0) after_1_s = now;
  }
  load.Print("rss_kib_before", static_cast<double>(before));
  load.Print("rss_kib_full", static_cast<double>(full));
  load.Print("rss_kib_at_once", static_cast<double>(at_once));
  load.Print("rss_kib_after_1_s", static_cast<double>(after_1_s));
  load.Print("rss_kib_after_idle", static_cast<double>(StatusKib("VmRSS")));
  if (mode == "survivors") {
    const auto needed = static_cast<int64_t>(PagesOf(survivors) * kPage / 1024);
    malloc_trim(0);
    const int64_t trimmed = StatusKib("VmRSS");
    load.Print("kib_in_pages_of_survivors", static_cast<double>(needed));
    load.Print("rss_kib_after_trim", static_cast<double>(trimmed));
    // Of the pages that hold no byte of a survivor, those that are no longer resident.
    load.Print("empty_pages_given_back_percent", 100 * static_cast<double>(full - trimmed) /
                                                     static_cast<double>(std::max<int64_t>(1, full - before - needed)));
    for (const auto& [block, size] : survivors) DropBlock(block, size);
  }
  std::string line;
  for (const auto& [seconds, kib] : timeline) absl::StrAppend(&line, line.empty() ? "" : " ", seconds, ":", kib);
  load.Print("rss_kib_timeline", line);
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
