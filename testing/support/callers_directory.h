// Where whoever calls `bazel run` stands.
#ifndef TESTING_SUPPORT_CALLERS_DIRECTORY_H_
#define TESTING_SUPPORT_CALLERS_DIRECTORY_H_

#include <stdlib.h>
#include <unistd.h>

#include <initializer_list>

namespace hakmem::test {

// `bazel run` starts a tool elsewhere: file names that its user gave are meant from here on.
inline void EnterCallersDirectory() {
  for (const char* name : {"BAZELW_WORKING_DIRECTORY", "BUILD_WORKING_DIRECTORY"}) {
    if (const char* directory = getenv(name); directory != nullptr && chdir(directory) == 0) return;
  }
}

}  // namespace hakmem::test

#endif  // TESTING_SUPPORT_CALLERS_DIRECTORY_H_
