#include "bench/harness/flags.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hakmem::bench {
namespace {

// Only the flags of the loads are offered: abseil's own (flagfile, undefok and others) would hide spelling mistakes.
absl::CommandLineFlag* FindOwnFlag(absl::string_view name) {
  absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
  if (flag == nullptr || flag->Filename().find("bench/") == std::string::npos) return nullptr;
  return flag;
}

void PrintHelp(const std::string& usage) {
  std::printf("%s\n\nFlags:\n", usage.c_str());
  std::map<std::string, absl::CommandLineFlag*> own;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (flag->Filename().find("bench/") != std::string::npos) own[std::string(name)] = flag;
  }
  for (const auto& [name, flag] : own) {
    std::printf("  --%s=%s\n      %s\n", name.c_str(), flag->DefaultValue().c_str(), flag->Help().c_str());
  }
  std::printf(
      "\nExit status: 0 good, %d bad usage, %d damaged block, %d wrong allocator, %d out of memory, %d refused by "
      "the system.\n",
      kExitUsage, kExitDamaged, kExitAllocator, kExitNoMemory, kExitNoResource);
}

}  // namespace

void UsageError(const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s\nTry --help.\n", program_invocation_short_name, message.c_str());
  std::exit(kExitUsage);
}

std::vector<std::string> ParseFlags(const std::string& usage, int argc, const char* const* argv) {
  std::vector<std::string> rest;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") {
      rest.insert(rest.end(), argv + i + 1, argv + argc);
      break;
    }
    if (word.size() < 2 || word[0] != '-' || (word[1] >= '0' && word[1] <= '9')) {
      rest.push_back(word);
      continue;
    }
    const std::string body = word.substr(word[1] == '-' ? 2 : 1);
    if (body == "help" || body == "h") {
      PrintHelp(usage);
      std::exit(0);
    }
    const size_t equals = body.find('=');
    std::string name = body.substr(0, equals);
    std::string value = equals == std::string::npos ? "" : body.substr(equals + 1);
    absl::CommandLineFlag* flag = FindOwnFlag(name);
    if (flag == nullptr && equals == std::string::npos && name.rfind("no", 0) == 0) {
      flag = FindOwnFlag(name.substr(2));
      if (flag != nullptr && !flag->IsOfType<bool>()) flag = nullptr;
      value = "false";
    } else if (flag != nullptr && equals == std::string::npos) {
      if (flag->IsOfType<bool>()) {
        value = "true";
      } else if (i + 1 < argc) {
        value = argv[++i];
      } else {
        UsageError(absl::StrCat("--", name, " needs a value"));
      }
    }
    if (flag == nullptr) UsageError(absl::StrCat("unknown flag '", word, "'"));
    std::string error;
    if (!flag->ParseFrom(value, &error)) {
      UsageError(absl::StrCat("'", value, "' is no value for --", name, error.empty() ? "" : ": ", error));
    }
  }
  return rest;
}

void CheckRange(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most) {
    UsageError(absl::StrCat("--", name, "=", value, " is not between ", least, " and ", most));
  }
}

int64_t ParseNumber(const char* what, const std::string& text) {
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value)) UsageError(absl::StrCat(what, " '", text, "' is not a whole number"));
  return value;
}

}  // namespace hakmem::bench
