// The environment and the places of a program that is to run on hakmem.
#ifndef HAKMEM_RUN_ENVIRONMENT_H_
#define HAKMEM_RUN_ENVIRONMENT_H_

#include <string>
#include <vector>

namespace hakmem::run {

// The value of LD_PRELOAD (ld.so(8)): `library` first, then what `former` held. Null `former` is an unset variable.
std::string PreloadValue(const std::string& library, const char* former);

// ld.so(8) takes spaces and colons for separators and has no way to quote them.
bool CanBePreloaded(const std::string& library);

// Where libhakmem.so may lie, in the order to try: beside the runfiles of the tool, then beside the tool in the output
// directory. `executables` are names of the tool itself, such as what /proc/self/exe points to and argv[0].
std::vector<std::string> LibraryCandidates(const std::vector<std::string>& executables);

// The directory in which the tool was called, or null to stay: `bazel run` starts it in another one and says so in
// BUILD_WORKING_DIRECTORY; ./bazelw called from outside the tree says so in BAZELW_WORKING_DIRECTORY.
const char* CallersDirectory(const char* build_working_directory, const char* bazelw_working_directory);

}  // namespace hakmem::run

#endif  // HAKMEM_RUN_ENVIRONMENT_H_
