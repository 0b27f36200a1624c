#include "hakmem/run/arguments.h"

#include <cstddef>
#include <string_view>

namespace hakmem::run {
namespace {

constexpr std::string_view kTraceFlag = "--trace=";

}  // namespace

const char kHelp[] =
    R"(usage: run [--stats] [--trace=FILE] [--] PROGRAM [ARGUMENT...]

Runs PROGRAM with hakmem as its malloc, by preloading libhakmem.so. PROGRAM is looked for as the shell does.

  --stats       print at exit what hakmem served (the same as HAKMEM_STATS=1)
  --trace=FILE  record every allocation call in FILE (the same as HAKMEM_TRACE=FILE)
  --help        print this

HAKMEM_... variables set hakmem's options; HAKMEM_VERBOSE=1 prints them.

Exit status: PROGRAM's own, or
  125  this tool was called wrongly or its library is not there
  126  PROGRAM was found but cannot run on hakmem (static, set-uid, of another machine, not executable)
  127  PROGRAM was not found
)";

Arguments ParseArguments(const std::vector<std::string>& arguments) {
  Arguments parsed;
  size_t at = 0;
  for (; at < arguments.size(); ++at) {
    const std::string& argument = arguments[at];
    if (argument == "--") {
      ++at;
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') break;
    if (argument == "--help" || argument == "-h") {
      parsed.help = true;
    } else if (argument == "--stats") {
      parsed.stats = true;
    } else if (argument.compare(0, kTraceFlag.size(), kTraceFlag) == 0 && argument.size() > kTraceFlag.size()) {
      parsed.trace = argument.substr(kTraceFlag.size());
    } else {
      parsed.error = "unknown flag " + argument + " (--help lists the flags)";
      return parsed;
    }
  }
  parsed.program.assign(arguments.begin() + static_cast<std::ptrdiff_t>(at), arguments.end());
  if (!parsed.help && parsed.program.empty()) parsed.error = "no program to run (--help tells how)";
  return parsed;
}

}  // namespace hakmem::run
