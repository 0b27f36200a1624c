// The parser of options, on an environment made of the input's lines, against a second reading of the table.

#include <string>
#include <vector>

#include "fuzz/input.h"
#include "hakmem/config/options.h"

namespace hakmem {
namespace {

int warnings;
std::vector<std::string> printed;

void Warn(const char* line) {
  ++warnings;
  FUZZ_CHECK(strncmp(line, "hakmem: ", 8) == 0);
  FUZZ_CHECK(strlen(line) < 400);
}
void Print(const char* line) { printed.push_back(line); }

// The number that `text` stands for; false when it stands for none. With 128 bits, where the parser checks for
// overflow.
bool ReadNumber(const std::string& text, uint64_t* out) {
  size_t digits = 0;
  unsigned __int128 value = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    value = value * 10 + static_cast<unsigned>(text[digits] - '0');
    if (value > UINT64_MAX) return false;
    ++digits;
  }
  if (digits == 0 || text.size() > digits + 1) return false;
  if (digits < text.size()) {
    const char suffix = text[digits];
    const size_t place = std::string("KMGTkmgt").find(suffix);
    if (place == std::string::npos) return false;
    value <<= 10 * (place % 4 + 1);
  }
  if (value > UINT64_MAX) return false;
  *out = static_cast<uint64_t>(value);
  return true;
}

// What the table says of one line: the field is left alone, set, or warned about.
void Expect(const std::string& line, std::vector<uint64_t>* numbers, std::vector<std::string>* texts, int* warned) {
  if (line.rfind("HAKMEM_", 0) != 0) return;
  const size_t equals = line.find('=');
  if (equals == std::string::npos) return;
  const std::string value = line.substr(equals + 1);
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionRow& row = GetOptionRow(i);
    if (line.substr(0, equals) != row.name) continue;
    uint64_t number = 0;
    bool fits = true;
    if (row.kind == OptionKind::kNumber) fits = ReadNumber(value, &number);
    if (row.kind == OptionKind::kChoice) {
      const std::vector<std::string> names = {"default", "abort", "continue"};
      while (number < names.size() && names[number] != value) ++number;
      fits = number < names.size();
    }
    if (row.kind == OptionKind::kText) {
      (*texts)[i] = value;
    } else if (fits && number >= row.least && number <= row.greatest) {
      (*numbers)[i] = number;
    } else {
      ++*warned;
    }
    return;
  }
  ++*warned;
}

void Compare(const Options& options, const std::vector<uint64_t>& numbers, const std::vector<std::string>& texts) {
  size_t i = 0;
#define CHECK_Number(field) FUZZ_CHECK(options.field == numbers[i]);
#define CHECK_Choice(field) FUZZ_CHECK(options.field == numbers[i]);
#define CHECK_Text(field) FUZZ_CHECK(std::string(options.field == nullptr ? "" : options.field) == texts[i]);
#define CHECK_FIELD(kind, field, ...) \
  CHECK_##kind(field);                \
  ++i;
  HAKMEM_OPTIONS(CHECK_FIELD)
#undef CHECK_FIELD
#undef CHECK_Number
#undef CHECK_Choice
#undef CHECK_Text
}

void Run(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at <= text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    // The kernel ends a variable at its first zero.
    lines.push_back(text.substr(at, end - at).c_str());
    at = end + 1;
  }
  std::vector<const char*> environment;
  for (const std::string& line : lines) environment.push_back(line.c_str());
  environment.push_back(nullptr);

  std::vector<uint64_t> numbers;
  std::vector<std::string> texts(kOptionCount);
  for (size_t i = 0; i < kOptionCount; ++i) numbers.push_back(GetOptionRow(i).default_value);
  int expected_warnings = 0;
  for (const std::string& line : lines) Expect(line, &numbers, &texts, &expected_warnings);

  Options options;
  warnings = 0;
  ParseOptions(environment.data(), &options, Warn);
  Compare(options, numbers, texts);
  FUZZ_CHECK(warnings == expected_warnings);

  // What is printed is an environment that gives the same options again.
  printed.clear();
  PrintOptions(options, Print);
  FUZZ_CHECK(printed.size() == kOptionCount);
  std::vector<std::string> again;
  for (size_t i = 0; i < kOptionCount; ++i) {
    const std::string line = printed[i].substr(strlen("hakmem: "));
    // A text may be cut, and may hold anything.
    if (GetOptionRow(i).kind != OptionKind::kText) again.push_back(line.substr(0, line.find("  (")));
  }
  environment.clear();
  for (const std::string& line : again) environment.push_back(line.c_str());
  environment.push_back(nullptr);
  Options reread;
  warnings = 0;
  ParseOptions(environment.data(), &reread, Warn);
  FUZZ_CHECK(warnings == 0);
  Compare(reread, numbers, std::vector<std::string>(kOptionCount));
}

}  // namespace
}  // namespace hakmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hakmem::Run(std::string(reinterpret_cast<const char*>(data), size));
  hakmem::ParseOptions(nullptr, &hakmem::g_options, hakmem::Warn);
  return 0;
}
