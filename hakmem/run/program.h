// Finds a program and tells whether a library can be preloaded into it.
#ifndef HAKMEM_RUN_PROGRAM_H_
#define HAKMEM_RUN_PROGRAM_H_

#include <string>

namespace hakmem::run {

// As env(1) and the shells have them.
inline constexpr int kStatusCannotRun = 126;
inline constexpr int kStatusNotFound = 127;

struct Program {
  int status = 0;         // 0, or the exit status of the tool when the program must not be started
  std::string message;    // why; empty when status is 0
  std::string path;       // the file to start
  bool by_shell = false;  // a text without an interpreter line, which execvp(3) hands to /bin/sh
};

// Looks `name` up as execvp(3) does: a name with a slash is a file, another is searched for in the directories of
// `path_variable` (null when PATH is unset). Says nothing about what the file is.
Program FindProgram(const std::string& name, const char* path_variable);

// Refuses a file that runs without the preloaded library, where the dynamic loader takes no part (static programs), or
// ignores LD_PRELOAD because privileges change (ld.so(8), "secure-execution mode"), or where the library does not fit
// (other word size, machine or C library). Follows interpreter lines (execve(2)). A file that may be run but not read
// is let through. `name` is what messages call it.
Program CheckProgram(const std::string& name, const std::string& path);

}  // namespace hakmem::run

#endif  // HAKMEM_RUN_PROGRAM_H_
