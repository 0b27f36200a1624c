#include "testing/matrix/variant.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <vector>

#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/window.h"

namespace hakmem::testing {
namespace {

std::vector<std::string>* printed;

void Print(const char* line) { printed->push_back(line); }

bool IsInForce(const std::string& option) {
  std::vector<std::string> lines;
  printed = &lines;
  PrintOptions(g_options, Print);
  for (const std::string& line : lines) {
    if (line.rfind("hakmem: " + option + " ", 0) == 0) return true;
  }
  return false;
}

}  // namespace

std::string EnterVariant(int argc, char** argv) {
  std::string name = "default";
  std::vector<std::string> options;
  const std::string option_flag = "--option=";
  const std::string variant_flag = "--variant=";
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.rfind(option_flag, 0) == 0) options.push_back(word.substr(option_flag.size()));
    if (word.rfind(variant_flag, 0) == 0) name = word.substr(variant_flag.size());
  }
  bool missing = false;
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    const std::string variable = option.substr(0, equals);
    const char* now = getenv(variable.c_str());
    if (now != nullptr && option.substr(equals + 1) == now) continue;
    setenv(variable.c_str(), option.c_str() + equals + 1, 1);
    missing = true;
  }
  if (missing) {
    execv("/proc/self/exe", argv);
    perror("variant: cannot start again");
    exit(2);
  }
  for (const std::string& option : options) {
    if (IsInForce(option)) continue;
    fprintf(stderr, "variant %s: %s is not in force\n", name.c_str(), option.c_str());
    exit(2);
  }
  if (g_options.window == 0 && HasWindow()) {
    fprintf(stderr, "variant %s: there is a window\n", name.c_str());
    exit(2);
  }
  return name;
}

}  // namespace hakmem::testing
