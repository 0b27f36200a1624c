// Prints the tables of options that README.md and docs/options.md hold: options_page short|full.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "hakmem/config/options.h"

namespace {

// The defaults as hakmem itself prints them, "hakmem: NAME=value  (what it does)", in the order of the table.
std::vector<std::string> printed_values;

void KeepValue(const char* line) {
  const char* value = strchr(line, '=') + 1;
  printed_values.emplace_back(value, strstr(value, "  (") - value);
}

// As a person would write it: 8388608 is 8M.
std::string NumberText(uint64_t number) {
  if (number == INT64_MAX) return "2^63-1";
  static constexpr const char* kSuffixes[] = {"", "K", "M", "G", "T"};
  size_t suffix = 0;
  while (number != 0 && number % 1024 == 0 && suffix + 1 < sizeof(kSuffixes) / sizeof(kSuffixes[0])) {
    number /= 1024;
    ++suffix;
  }
  return std::to_string(number) + kSuffixes[suffix];
}

std::string DefaultText(size_t i) {
  const hakmem::OptionRow& row = hakmem::GetOptionRow(i);
  if (row.kind == hakmem::OptionKind::kNumber) return NumberText(row.default_value);
  return printed_values[i].empty() ? "(empty)" : printed_values[i];
}

std::string RangeText(const hakmem::OptionRow& row) {
  switch (row.kind) {
    case hakmem::OptionKind::kNumber: return NumberText(row.least) + " to " + NumberText(row.greatest);
    case hakmem::OptionKind::kChoice: return "a word";
    case hakmem::OptionKind::kText: return "a text";
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  const bool full = argc == 2 && strcmp(argv[1], "full") == 0;
  if (!full && (argc != 2 || strcmp(argv[1], "short") != 0)) {
    fprintf(stderr, "usage: options_page short|full\n");
    return 2;
  }
  hakmem::PrintOptions(hakmem::Options(), KeepValue);
  printf("%s", full ? "| variable | default | takes | what it does |\n| --- | --- | --- | --- |\n"
                    : "| variable | default | what it does |\n| --- | --- | --- |\n");
  for (size_t i = 0; i < hakmem::kOptionCount; ++i) {
    const hakmem::OptionRow& row = hakmem::GetOptionRow(i);
    printf("| `%s` | %s |", row.name, DefaultText(i).c_str());
    if (full) printf(" %s |", RangeText(row).c_str());
    printf(" %s |\n", row.doc);
  }
  return 0;
}
