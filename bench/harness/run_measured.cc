// Runs a program and writes down what it used: wall and CPU time and the peak resident memory of it and its children.
//
// A small process of its own, because the kernel counts what a child held before exec as the child's peak: started from
// an interpreter, every program would appear to need at least the interpreter's memory.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/flags.h"
#include "bench/harness/measure.h"

ABSL_FLAG(std::string, preload, "", "LD_PRELOAD of the program; empty: none");
ABSL_FLAG(std::string, report, "", "file that gets the figures; empty: standard error");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "run_measured [flags] -- PROGRAM ARGS...\n\n"
    "Runs PROGRAM and reports its wall and CPU seconds, page faults and peak resident memory, children included. The "
    "exit "
    "status is the program's, 127 when it cannot be run, 128 + N when signal N ended it.";

int Main(int argc, char** argv) {
  std::vector<std::string> words = ParseFlags(kUsage, argc, argv);
  if (words.empty()) UsageError("no program is named");
  std::vector<char*> command;
  for (std::string& word : words) command.push_back(word.data());
  command.push_back(nullptr);
  const std::string preload = absl::GetFlag(FLAGS_preload);
  const std::string path = absl::GetFlag(FLAGS_report);

  const double start = WallSeconds();
  const pid_t child = fork();
  if (child < 0) {
    std::fprintf(stderr, "run_measured: fork failed: %s\n", std::strerror(errno));
    return kExitNoResource;
  }
  if (child == 0) {
    if (preload.empty()) {
      unsetenv("LD_PRELOAD");
    } else {
      setenv("LD_PRELOAD", preload.c_str(), 1);
    }
    execvp(command[0], command.data());
    std::fprintf(stderr, "run_measured: %s cannot be run: %s\n", command[0], std::strerror(errno));
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  const double wall = WallSeconds() - start;
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const CpuSeconds cpu = CpuOfChildren();

  std::FILE* report = path.empty() ? stderr : std::fopen(path.c_str(), "we");
  if (report == nullptr) {
    std::fprintf(stderr, "run_measured: %s cannot be written: %s\n", path.c_str(), std::strerror(errno));
    return kExitUsage;
  }
  std::fprintf(report, "wall_seconds: %.3f\ncpu_user_seconds: %.6f\ncpu_system_seconds: %.6f\n", wall, cpu.user,
               cpu.system);
  std::fprintf(report, "minor_faults: %ld\npeak_rss_kib: %ld\n", usage.ru_minflt, usage.ru_maxrss);
  if (report != stderr) std::fclose(report);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
