// Runs hit_probe with a library preloaded, one instruction at a time, and prints which instructions of the library each
// marked operation executed: a line `NAME OFFSET OFFSET …`, offsets in hexadecimal from the library's load address.
//
// This is the proof that a hit path that was read off the disassembly is the one that runs.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"

ABSL_FLAG(std::string, library, "", "the shared library to preload and to trace");
ABSL_FLAG(std::string, probe, "", "the program that marks the operations (hit_probe)");

namespace {

// An operation of more steps than this is not a hit, and something is wrong with the marks.
constexpr size_t kMaxSteps = 100'000;

struct Range {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "step_trace: %s\n", what.c_str());
  exit(1);
}

Range LibraryRange(pid_t pid, const std::string& library) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  Range range;
  std::string line;
  while (std::getline(maps, line)) {
    if (line.size() < library.size() || line.compare(line.size() - library.size(), library.size(), library) != 0)
      continue;
    char* rest = nullptr;
    const uintptr_t begin = strtoull(line.c_str(), &rest, 16);
    const uintptr_t end = strtoull(rest + 1, nullptr, 16);
    if (range.begin == 0) range.begin = begin;
    range.end = end;
  }
  if (range.begin == 0) Fail("the probe has not loaded " + library);
  return range;
}

std::string ReadString(pid_t pid, uintptr_t address) {
  std::string text;
  while (text.size() < 64) {
    errno = 0;
    const long word = ptrace(PTRACE_PEEKDATA, pid, address + text.size(), nullptr);
    if (errno != 0) Fail("cannot read the name of an operation");
    char bytes[sizeof word];
    memcpy(bytes, &word, sizeof word);
    for (const char byte : bytes) {
      if (byte == '\0') return text;
      text.push_back(byte);
    }
  }
  Fail("the name of an operation does not end");
}

// Waits for the next stop. Returns false when the probe has ended well.
bool WaitForTrap(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) Fail("waitpid failed");
  if (WIFEXITED(status)) {
    if (WEXITSTATUS(status) != 0) Fail("the probe failed with status " + std::to_string(WEXITSTATUS(status)));
    return false;
  }
  if (WIFSIGNALED(status)) Fail("the probe was killed by signal " + std::to_string(WTERMSIG(status)));
  if (WSTOPSIG(status) != SIGTRAP) Fail("the probe stopped with signal " + std::to_string(WSTOPSIG(status)));
  return true;
}

bool AtMark(pid_t pid) {
  siginfo_t info;
  if (ptrace(PTRACE_GETSIGINFO, pid, nullptr, &info) != 0) Fail("PTRACE_GETSIGINFO failed");
  return info.si_code == SI_KERNEL || info.si_code == TRAP_BRKPT;
}

user_regs_struct Registers(pid_t pid) {
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, nullptr, &registers) != 0) Fail("PTRACE_GETREGS failed");
  return registers;
}

// The instruction pointers inside `range` from the mark just reached to the next one.
std::vector<uintptr_t> Step(pid_t pid, const Range& range) {
  std::vector<uintptr_t> offsets;
  for (size_t steps = 0; steps < kMaxSteps; ++steps) {
    const uintptr_t at = Registers(pid).rip;
    if (ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) != 0) Fail("PTRACE_SINGLESTEP failed");
    if (!WaitForTrap(pid)) Fail("the probe ended inside an operation");
    if (AtMark(pid)) return offsets;
    if (at >= range.begin && at < range.end) offsets.push_back(at - range.begin);
  }
  Fail("an operation took more than " + std::to_string(kMaxSteps) + " instructions");
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Traces the hit paths of a preloaded allocator, instruction by instruction.");
  absl::ParseCommandLine(argc, argv);
  char library[PATH_MAX];
  if (realpath(absl::GetFlag(FLAGS_library).c_str(), library) == nullptr) Fail("--library names no file");
  const std::string probe = absl::GetFlag(FLAGS_probe);
  const pid_t pid = fork();
  if (pid < 0) Fail("fork failed");
  if (pid == 0) {
    // Bound at start, so that no step is spent in the dynamic linker's lazy resolution.
    setenv("LD_PRELOAD", library, 1);
    setenv("LD_BIND_NOW", "1", 1);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    execl(probe.c_str(), probe.c_str(), nullptr);
    _exit(127);
  }
  if (!WaitForTrap(pid)) Fail("the probe ended before its first instruction");
  Range range;
  while (true) {
    if (ptrace(PTRACE_CONT, pid, nullptr, nullptr) != 0) Fail("PTRACE_CONT failed");
    if (!WaitForTrap(pid)) break;
    if (range.begin == 0) range = LibraryRange(pid, library);
    const std::string name = ReadString(pid, Registers(pid).rdi);
    printf("%s", name.c_str());
    for (const uintptr_t offset : Step(pid, range)) printf(" %lx", static_cast<unsigned long>(offset));
    printf("\n");
  }
  if (range.begin == 0) Fail("the probe marked nothing");
  return 0;
}
