#include "bench/harness/measure.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace hakmem::bench {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

rusage Usage(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return usage;
}

CpuSeconds CpuOf(int who) {
  const rusage usage = Usage(who);
  return {Seconds(usage.ru_utime), Seconds(usage.ru_stime)};
}

}  // namespace

double WallSeconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

CpuSeconds CpuOfProcess() { return CpuOf(RUSAGE_SELF); }
CpuSeconds CpuOfChildren() { return CpuOf(RUSAGE_CHILDREN); }
int64_t MinorFaults() { return Usage(RUSAGE_SELF).ru_minflt; }

int64_t StatusKib(const char* line) {
  char text[8192];
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  size_t length = 0;
  for (ssize_t got; length < sizeof(text) - 1; length += static_cast<size_t>(got)) {
    got = read(file, text + length, sizeof(text) - 1 - length);
    if (got <= 0) break;
  }
  close(file);
  text[length] = '\0';
  const size_t name_length = std::strlen(line);
  for (const char* at = text; at != nullptr; at = std::strchr(at, '\n')) {
    if (*at == '\n') ++at;
    if (std::strncmp(at, line, name_length) == 0 && at[name_length] == ':') return std::atoll(at + name_length + 1);
  }
  return -1;
}

bool ResetPeak() {
  const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool done = write(file, "5", 1) == 1;
  close(file);
  return done;
}

}  // namespace hakmem::bench
