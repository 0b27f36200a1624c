// Time and memory of this process, as the kernel accounts them.
#ifndef HAKMEM_BENCH_HARNESS_MEASURE_H_
#define HAKMEM_BENCH_HARNESS_MEASURE_H_

#include <cstdint>
#include <string>

namespace hakmem::bench {

// Seconds of the monotonic clock.
double WallSeconds();

// User and system seconds of all threads of this process (and, with children, of all children waited for).
struct CpuSeconds {
  double user = 0;
  double system = 0;
  double total() const { return user + system; }
};
CpuSeconds CpuOfProcess();
CpuSeconds CpuOfChildren();

// Page faults of this process that needed no disk.
int64_t MinorFaults();

// A line of /proc/self/status in KiB: "VmHWM" (the most that was ever resident), "VmRSS", "VmSize". Allocates nothing,
// so it can be used between two measurements. -1 when the line is missing. The kernel may be late with up to some
// hundred KiB in VmHWM, since it counts pages for each processor apart.
int64_t StatusKib(const char* line);

// Resets VmHWM to VmRSS; false where the kernel refuses.
bool ResetPeak();

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_MEASURE_H_
