// The command line of //hakmem:run.
//
// Flags end at the first argument that is none, or at `--`: what follows is the program's, also if it looks like a
// flag. (abseil's parser would take flags from behind the program's name.)
#ifndef HAKMEM_RUN_ARGUMENTS_H_
#define HAKMEM_RUN_ARGUMENTS_H_

#include <string>
#include <vector>

namespace hakmem::run {

struct Arguments {
  bool help = false;
  bool stats = false;
  std::string trace;                 // empty: not recorded
  std::vector<std::string> program;  // its name, then its arguments
  std::string error;                 // what is wrong with the command line; empty when nothing is
};

// `arguments` is without the tool's own name.
Arguments ParseArguments(const std::vector<std::string>& arguments);

// What --help prints.
extern const char kHelp[];

}  // namespace hakmem::run

#endif  // HAKMEM_RUN_ARGUMENTS_H_
