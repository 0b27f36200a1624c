#include "hakmem/config/options.h"

#include <cstring>

#include "hakmem/platform/format.h"

namespace hakmem {
namespace {

constexpr OptionRow kRows[] = {
#define HAKMEM_ROW(kind, field, name, def, least, greatest, doc) \
  {OptionKind::k##kind, "HAKMEM_" #name, def, least, greatest, doc},
    HAKMEM_OPTIONS(HAKMEM_ROW)
#undef HAKMEM_ROW
};

constexpr const char* kOnErrorNames[] = {"default", "abort", "continue"};
constexpr const char kPrefix[] = "HAKMEM_";

// A decimal number with an optional suffix; false when it is anything else or does not fit 64 bits.
bool ParseNumber(const char* text, uint64_t* out) {
  if (*text < '0' || *text > '9') return false;
  uint64_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    if (__builtin_mul_overflow(value, uint64_t{10}, &value)) return false;
    if (__builtin_add_overflow(value, static_cast<uint64_t>(*text - '0'), &value)) return false;
  }
  unsigned shift = 0;
  switch (*text) {
    case 'K':
    case 'k': shift = 10; break;
    case 'M':
    case 'm': shift = 20; break;
    case 'G':
    case 'g': shift = 30; break;
    case 'T':
    case 't': shift = 40; break;
    case 0: break;
    default: return false;
  }
  if (shift != 0 && text[1] != 0) return false;
  if (shift != 0 && (value >> (64 - shift)) != 0) return false;
  *out = value << shift;
  return true;
}

bool ParseChoice(const char* text, uint64_t* out) {
  for (uint64_t i = 0; i < sizeof(kOnErrorNames) / sizeof(kOnErrorNames[0]); ++i) {
    if (strcmp(text, kOnErrorNames[i]) == 0) {
      *out = i;
      return true;
    }
  }
  return false;
}

void WarnValue(const OptionRow& row, const char* value, LineSink warn) {
  char line[320];
  Format f(line, sizeof(line));
  f << "hakmem: " << row.name << "=" << Clip{value, 60} << " ignored: ";
  if (row.kind == OptionKind::kChoice) {
    f << "it takes default, abort or continue";
  } else {
    f << "it takes a number from " << row.least << " to " << row.greatest << " (suffixes K, M, G, T)";
  }
  warn(f.text());
}

void SetField(Options* out, size_t i, uint64_t number, const char* text) {
  size_t at = 0;
#define HAKMEM_SET_Number(field) out->field = number
#define HAKMEM_SET_Choice(field) out->field = number
#define HAKMEM_SET_Text(field) out->field = text
#define HAKMEM_SET(kind, field, ...) \
  if (at++ == i) HAKMEM_SET_##kind(field);
  HAKMEM_OPTIONS(HAKMEM_SET)
#undef HAKMEM_SET
#undef HAKMEM_SET_Number
#undef HAKMEM_SET_Choice
#undef HAKMEM_SET_Text
}

void ParseOne(const char* entry, Options* out, LineSink warn) {
  const char* equals = strchr(entry, '=');
  if (equals == nullptr) return;
  const size_t length = static_cast<size_t>(equals - entry);
  const char* value = equals + 1;
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionRow& row = kRows[i];
    if (strlen(row.name) != length || memcmp(row.name, entry, length) != 0) continue;
    uint64_t number = 0;
    bool fits = true;
    switch (row.kind) {
      case OptionKind::kNumber: fits = ParseNumber(value, &number); break;
      case OptionKind::kChoice: fits = ParseChoice(value, &number); break;
      case OptionKind::kText: break;
    }
    if (row.kind != OptionKind::kText && (!fits || number < row.least || number > row.greatest)) {
      WarnValue(row, value, warn);
      return;
    }
    SetField(out, i, number, value);
    return;
  }
  char line[200];
  Format f(line, sizeof(line));
  f << "hakmem: unknown option ";
  f.Append(entry, length < 60 ? length : 60);
  f << " ignored (HAKMEM_VERBOSE=1 prints those there are)";
  warn(f.text());
}

}  // namespace

constinit Options g_options;

const OptionRow& GetOptionRow(size_t i) { return kRows[i]; }

void ParseOptions(const char* const* environment, Options* out, LineSink warn) {
  if (environment == nullptr) return;
  for (; *environment != nullptr; ++environment) {
    if (strncmp(*environment, kPrefix, sizeof(kPrefix) - 1) == 0) ParseOne(*environment, out, warn);
  }
}

void PrintOptions(const Options& options, LineSink print) {
  size_t at = 0;
  auto print_row = [&](uint64_t number, const char* text) {
    const OptionRow& row = kRows[at++];
    char line[320];
    Format f(line, sizeof(line));
    f << "hakmem: " << row.name << "=";
    switch (row.kind) {
      case OptionKind::kNumber: f << number; break;
      case OptionKind::kChoice: f << kOnErrorNames[number]; break;
      case OptionKind::kText: f << (text == nullptr ? "" : text); break;
    }
    f << "  (" << row.doc << ")";
    print(f.text());
  };
#define HAKMEM_PRINT_Number(field) print_row(options.field, nullptr);
#define HAKMEM_PRINT_Choice(field) print_row(options.field, nullptr);
#define HAKMEM_PRINT_Text(field) print_row(0, options.field);
#define HAKMEM_PRINT(kind, field, ...) HAKMEM_PRINT_##kind(field)
  HAKMEM_OPTIONS(HAKMEM_PRINT)
#undef HAKMEM_PRINT
#undef HAKMEM_PRINT_Number
#undef HAKMEM_PRINT_Choice
#undef HAKMEM_PRINT_Text
}

}  // namespace hakmem
