// Prints a dumped debug ring as one time line over all threads:
//
//     ./bazelw run //testing:flight -- [FILTERS] DUMP
//
// Exit status: 0 done, 2 bad usage, 3 the file cannot be read, is no dump, or is damaged.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "testing/flight/dump_reader.h"
#include "testing/flight/time_line.h"
#include "testing/support/callers_directory.h"

ABSL_FLAG(std::string, thread, "", "show this thread alone, by the system's thread id");
ABSL_FLAG(std::string, class, "", "show slabs and blocks of this size class alone");
ABSL_FLAG(std::string, slab, "", "show the slab alone that holds this address");
ABSL_FLAG(std::string, pointer, "",
          "show the block alone that holds this address, with what happens to its slab and mapping");
ABSL_FLAG(int64_t, last, 0, "show the last so many events alone; 0 shows all");
ABSL_FLAG(bool, salvage, false, "of a damaged file, show what stands before the damage");

namespace hakmem::flight {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitDamaged = 3;

[[noreturn]] void UsageError(const std::string& message) {
  fprintf(stderr, "flight: %s; --help tells the usage\n", message.c_str());
  exit(kExitUsage);
}

// A number, hexadecimal with 0x in front; nothing for an empty flag.
std::optional<uint64_t> NumberOf(const char* flag, const std::string& text) {
  if (text.empty()) return std::nullopt;
  uint64_t value;
  const bool hex = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  if (hex ? absl::SimpleHexAtoi(text, &value) : absl::SimpleAtoi(text, &value)) return value;
  UsageError(absl::StrCat("--", flag, "=", text, " is no number"));
}

Filter FilterOfFlags() {
  Filter filter;
  if (auto n = NumberOf("thread", absl::GetFlag(FLAGS_thread))) filter.thread = static_cast<uint32_t>(*n);
  if (auto n = NumberOf("class", absl::GetFlag(FLAGS_class))) filter.size_class = static_cast<unsigned>(*n);
  filter.slab = NumberOf("slab", absl::GetFlag(FLAGS_slab));
  filter.pointer = NumberOf("pointer", absl::GetFlag(FLAGS_pointer));
  return filter;
}

int Print(const DumpFile& dump, const Filter& filter) {
  std::vector<const ring::Record*> shown;
  for (const ring::Record& record : dump.records) {
    if (Fits(filter, record)) shown.push_back(&record);
  }
  const int64_t last = absl::GetFlag(FLAGS_last);
  if (last > 0 && static_cast<size_t>(last) < shown.size()) {
    shown.erase(shown.begin(), shown.end() - static_cast<ptrdiff_t>(last));
  }
  Names names(dump.modules);
  const uint64_t start_ns = dump.records.empty() ? 0 : dump.records.front().time_ns;
  if (!shown.empty()) printf("%s\n", HeadLine().c_str());
  for (const ring::Record* record : shown) printf("%s\n", LineOf(*record, start_ns, names).c_str());
  printf("%zu of %zu events of process %u", shown.size(), dump.records.size(), dump.header.process);
  if (dump.overwritten != 0) {
    printf("; %llu older ones were overwritten", static_cast<unsigned long long>(dump.overwritten));
  }
  if (dump.lost != 0) printf("; %llu had no memory", static_cast<unsigned long long>(dump.lost));
  printf("\n");
  return 0;
}

int Main(const std::vector<char*>& words) {
  if (words.size() != 2) UsageError(absl::StrCat("one file is needed, ", words.size() - 1, " given"));
  test::EnterCallersDirectory();
  const Filter filter = FilterOfFlags();
  DumpFile dump;
  const std::string error = ReadDumpFile(words[1], &dump);
  int status = 0;
  if (!error.empty()) {
    fprintf(stderr, "flight: %s: %s\n", words[1], error.c_str());
    if (!absl::GetFlag(FLAGS_salvage) || dump.records.empty()) return kExitDamaged;
    status = kExitDamaged;
  }
  Print(dump, filter);
  return status;
}

}  // namespace
}  // namespace hakmem::flight

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("[--thread=N] [--class=N] [--slab=ADDRESS] [--pointer=ADDRESS] [--last=N] DUMP");
  return hakmem::flight::Main(absl::ParseCommandLine(argc, argv));
}
