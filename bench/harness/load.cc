#include "bench/harness/load.h"

#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/harness/allocator_proof.h"
#include "bench/harness/flags.h"

ABSL_FLAG(
    std::string, expect, "any",
    "end with status 4 unless this allocator serves the load: 'hakmem' (proved by hak_owns), a part of the file name "
    "of the library that defines malloc, or 'any'");

namespace hakmem::bench {
namespace {

CpuSeconds CpuOfProcessAndChildren() {
  CpuSeconds sum = CpuOfProcess();
  const CpuSeconds children = CpuOfChildren();
  sum.user += children.user;
  sum.system += children.system;
  return sum;
}

}  // namespace

Load::Load(const std::string& name, const std::string& usage, int argc, const char* const* argv) : name_(name) {
  words_ = ParseFlags(usage, argc, argv);
  const AllocatorProof proof = ProveAllocator();
  const std::string expected = absl::GetFlag(FLAGS_expect);
  std::printf("load: %s\nallocator: %s\n", name_.c_str(), Describe(proof).c_str());
  std::fflush(stdout);
  if (!Agrees(proof, expected)) {
    std::fprintf(stderr, "%s: expected allocator '%s', but served by %s\n", name_.c_str(), expected.c_str(),
                 Describe(proof).c_str());
    std::exit(kExitAllocator);
  }
}

void Load::RefuseWords() const {
  if (!words_.empty()) UsageError(absl::StrCat("'", words_[0], "' is not understood: this load takes flags only"));
}

void Load::Start() {
  std::fflush(stdout);
  faults_start_ = MinorFaults();
  cpu_start_ = CpuOfProcessAndChildren();
  wall_start_ = WallSeconds();
}

void Load::Finish(uint64_t operations) {
  wall_seconds_ = WallSeconds() - wall_start_;
  const CpuSeconds cpu = CpuOfProcessAndChildren();
  const int64_t faults = MinorFaults() - faults_start_;
  const int64_t peak = StatusKib("VmHWM");
  const double user = cpu.user - cpu_start_.user;
  const double system = cpu.system - cpu_start_.system;
  const double count = operations == 0 ? 1 : static_cast<double>(operations);
  std::printf("operations: %llu\n", static_cast<unsigned long long>(operations));
  std::printf("wall_seconds: %.3f\n", wall_seconds_);
  std::printf("cpu_user_seconds: %.3f\n", user);
  std::printf("cpu_system_seconds: %.3f\n", system);
  std::printf("operations_per_second: %.0f\n", static_cast<double>(operations) / wall_seconds_);
  std::printf("cpu_ns_per_operation: %.3f\n", (user + system) * 1e9 / count);
  std::printf("minor_faults: %lld\n", static_cast<long long>(faults));
  std::printf("peak_rss_kib: %lld\n", static_cast<long long>(peak));
  std::fflush(stdout);
}

void Load::Print(const std::string& key, const std::string& value) const {
  std::printf("%s: %s\n", key.c_str(), value.c_str());
  std::fflush(stdout);
}

void Load::Print(const std::string& key, double value) const { Print(key, absl::StrFormat("%.6g", value)); }

void RunThreads(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    try {
      threads.emplace_back(work, i);
    } catch (const std::system_error& error) {
      std::fprintf(stderr, "thread %d of %d could not be started: %s\n", i + 1, count, error.what());
      std::fflush(stdout);
      std::_Exit(kExitNoResource);
    }
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace hakmem::bench
