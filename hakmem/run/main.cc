// Runs a program on libhakmem.so: finds both, preloads, and becomes the program, so that its exit status, signals and
// process id are its own.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "hakmem/run/arguments.h"
#include "hakmem/run/environment.h"
#include "hakmem/run/program.h"

namespace hakmem::run {
namespace {

// The tool's own failures, as env(1), nice(1) and timeout(1) have it.
constexpr int kStatusOwnFailure = 125;

int Fail(int status, const std::string& message) {
  fprintf(stderr, "hakmem run: %s\n", message.c_str());
  return status;
}

// The library's absolute name without links, so that it holds in every directory; empty when there is none.
std::string FindLibrary(const char* own_name) {
  std::vector<std::string> executables;
  char resolved[PATH_MAX];
  if (realpath("/proc/self/exe", resolved) != nullptr) executables.push_back(resolved);
  executables.push_back(own_name);
  for (const std::string& candidate : LibraryCandidates(executables)) {
    if (realpath(candidate.c_str(), resolved) != nullptr) return resolved;
  }
  return "";
}

// Undoes what `bazel run` did to the place and the environment.
bool ReturnToCaller() {
  const char* directory = CallersDirectory(getenv("BUILD_WORKING_DIRECTORY"), getenv("BAZELW_WORKING_DIRECTORY"));
  if (directory != nullptr) {
    if (chdir(directory) != 0) return false;
    setenv("PWD", directory, 1);
  }
  for (const char* name : {"BUILD_WORKING_DIRECTORY", "BUILD_WORKSPACE_DIRECTORY", "BAZELW_WORKING_DIRECTORY"}) {
    unsetenv(name);
  }
  return true;
}

int Main(int argc, char** argv) {
  const Arguments arguments = ParseArguments(std::vector<std::string>(argv + 1, argv + argc));
  if (!arguments.error.empty()) return Fail(kStatusOwnFailure, arguments.error);
  if (arguments.help) {
    fputs(kHelp, stdout);
    return 0;
  }
  const std::string library = FindLibrary(argv[0]);
  if (library.empty()) return Fail(kStatusOwnFailure, "libhakmem.so is not where the build puts it");
  if (!CanBePreloaded(library)) {
    return Fail(kStatusOwnFailure, library + " cannot be preloaded: LD_PRELOAD has no way to write a space or a colon");
  }
  if (!ReturnToCaller()) {
    return Fail(kStatusOwnFailure, std::string("cannot go back to the caller's directory: ") + strerror(errno));
  }

  const std::string& name = arguments.program[0];
  const Program found = FindProgram(name, getenv("PATH"));
  if (found.status != 0) return Fail(found.status, found.message);
  const Program program = CheckProgram(name, found.path);
  if (program.status != 0) return Fail(program.status, program.message);

  setenv("LD_PRELOAD", PreloadValue(library, getenv("LD_PRELOAD")).c_str(), 1);
  if (arguments.stats) setenv("HAKMEM_STATS", "1", 1);
  if (!arguments.trace.empty()) setenv("HAKMEM_TRACE", arguments.trace.c_str(), 1);
  std::vector<const char*> command;
  if (program.by_shell) command = {"/bin/sh", program.path.c_str()};
  if (!program.by_shell) command = {name.c_str()};
  for (size_t i = 1; i < arguments.program.size(); ++i) command.push_back(arguments.program[i].c_str());
  command.push_back(nullptr);
  execv(program.by_shell ? "/bin/sh" : program.path.c_str(), const_cast<char* const*>(command.data()));
  const int error = errno;
  return Fail(error == ENOENT ? kStatusNotFound : kStatusCannotRun, name + ": " + strerror(error));
}

}  // namespace
}  // namespace hakmem::run

int main(int argc, char** argv) { return hakmem::run::Main(argc, argv); }
