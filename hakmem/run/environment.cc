#include "hakmem/run/environment.h"

namespace hakmem::run {
namespace {

bool IsSet(const char* value) { return value != nullptr && *value != 0; }

}  // namespace

std::string PreloadValue(const std::string& library, const char* former) {
  return IsSet(former) ? library + ":" + former : library;
}

bool CanBePreloaded(const std::string& library) { return library.find_first_of(" :") == std::string::npos; }

std::vector<std::string> LibraryCandidates(const std::vector<std::string>& executables) {
  std::vector<std::string> candidates;
  for (const std::string& executable : executables) {
    // Bazel calls the main repository by its name where WORKSPACE is read, and _main where MODULE.bazel is.
    for (const char* repository : {"hakmem", "_main"}) {
      candidates.push_back(executable + ".runfiles/" + repository + "/hakmem/libhakmem.so");
    }
  }
  for (const std::string& executable : executables) {
    const size_t slash = executable.rfind('/');
    if (slash == std::string::npos) continue;
    candidates.push_back(executable.substr(0, slash) + "/../libhakmem.so");
  }
  return candidates;
}

const char* CallersDirectory(const char* build_working_directory, const char* bazelw_working_directory) {
  if (IsSet(bazelw_working_directory)) return bazelw_working_directory;
  return IsSet(build_working_directory) ? build_working_directory : nullptr;
}

}  // namespace hakmem::run
