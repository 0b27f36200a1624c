// larson_stress MODE [flags]: see kUsage.
#include <hakmem/hakmem.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "testing/larson_stress/stress.h"

ABSL_FLAG(double, seconds, 20, "how long the threads run");
ABSL_FLAG(int, threads, 10, "threads at a time");
ABSL_FLAG(uint64_t, seed, 1, "of all that is random");
ABSL_FLAG(size_t, blocks, 400, "blocks that each thread holds");
ABSL_FLAG(uint64_t, lifetime, 4000, "about how many events it takes until a thread hands its blocks on and ends");
ABSL_FLAG(size_t, min_size, 8, "smallest block in bytes");
ABSL_FLAG(size_t, max_size, 1000, "largest block in bytes, but for the large ones");
ABSL_FLAG(double, large_share, 0.03, "share of blocks that are up to 128 times larger");
ABSL_FLAG(int64_t, least_events, -1, "fewer events are a failure; -1 stands for a thousand a second");

namespace hakmem::stress {
namespace {

constexpr char kUsage[] =
    "larson_stress repro|guard [flags]\n\n"
    "Threads hand blocks on and exit while others free their blocks; each block carries a pattern that is checked when "
    "it\n"
    "is freed. An event is a block checked and then freed or resized.\n\n"
    "  repro  the load as it is\n"
    "  guard  no thread cache (HAKMEM_TINY_FAST_CAP=0), adoption forced (HAKMEM_TINY_SS_ADOPT=1); built with\n"
    "         --config=guard also guard words behind each block and delayed reuse\n\n"
    "Exit status: 0 passed, 1 too few events, 2 usage, 3 no memory, 4 hakmem does not serve; a broken block aborts.";

constexpr int kExitTooFew = 1, kExitUsage = 2, kExitNotServed = 4;

struct Setting {
  const char* name;
  const char* value;
};
constexpr Setting kGuardSettings[] = {{"HAKMEM_TINY_FAST_CAP", "0"}, {"HAKMEM_TINY_SS_ADOPT", "1"}};

// hakmem reads its options before main(): sets them and starts this program anew, unless they are set already.
void ApplyGuardSettings(char** argv) {
  bool changed = false;
  for (const Setting& setting : kGuardSettings) {
    const char* now = getenv(setting.name);
    if (now != nullptr && strcmp(now, setting.value) == 0) continue;
    setenv(setting.name, setting.value, 1);
    changed = true;
  }
  if (!changed) return;
  execv("/proc/self/exe", argv);
  perror("larson_stress: execv");
  exit(kExitUsage);
}

// Whether blocks of every kind come from hakmem.
bool ServedByHakmem() {
  for (const size_t size : {size_t{1}, size_t{100}, size_t{40'000}, size_t{300'000}, size_t{5'000'000}}) {
    void* blocks[] = {hak_malloc(size), hak_calloc(1, size), hak_realloc(nullptr, size)};
    for (void* block : blocks) {
      if (block == nullptr || hak_owns(block) != 1) return false;
      memset(block, 1, size);
      hak_free(block);
    }
  }
  int on_stack = 0;
  return hak_owns(&on_stack) == 0;
}

// A figure of hakmem's statistics; -1 when it is not there.
int64_t Statistic(const char* name) {
  const int fd = memfd_create("statistics", MFD_CLOEXEC);
  if (fd < 0) return -1;
  hak_stats_print(fd, 1);
  std::string text(16384, '\0');
  const ssize_t length = pread(fd, text.data(), text.size() - 1, 0);
  close(fd);
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  const std::string key = "\"" + std::string(name) + "\":";
  const size_t at = text.find(key);
  return at == std::string::npos ? -1 : atoll(text.c_str() + at + key.size());
}

int Main(int argc, char** argv) {
  absl::SetProgramUsageMessage(kUsage);
  const std::vector<char*> words = absl::ParseCommandLine(argc, argv);
  const std::string mode = words.size() == 2 ? words[1] : "";
  if (mode != "repro" && mode != "guard") {
    fprintf(stderr, "larson_stress: one mode is expected, repro or guard; --help says more\n");
    return kExitUsage;
  }
  Options options = {absl::GetFlag(FLAGS_seconds),  absl::GetFlag(FLAGS_threads),    absl::GetFlag(FLAGS_seed),
                     absl::GetFlag(FLAGS_blocks),   absl::GetFlag(FLAGS_lifetime),   absl::GetFlag(FLAGS_min_size),
                     absl::GetFlag(FLAGS_max_size), absl::GetFlag(FLAGS_large_share)};
  if (!(options.seconds > 0) || options.threads < 1 || options.blocks < 1 || options.lifetime < 1 ||
      options.min_size < 1 || options.min_size > options.max_size) {
    fprintf(stderr,
            "larson_stress: seconds, threads, blocks, lifetime and sizes are positive, min_size is not above "
            "max_size\n");
    return kExitUsage;
  }
  if (mode == "guard") ApplyGuardSettings(argv);

  if (!ServedByHakmem()) {
    fprintf(stderr, "larson_stress: hakmem does not serve this program\n");
    return kExitNotServed;
  }
  printf("larson_stress: %s, served by %s; %d threads, %g s, seed %llu\n", mode.c_str(), hak_version(), options.threads,
         options.seconds, static_cast<unsigned long long>(options.seed));
  if (mode == "guard") {
    for (const Setting& setting : kGuardSettings) printf("larson_stress: %s=%s\n", setting.name, setting.value);
    if (strstr(hak_version(), "(guard)") == nullptr) {
      printf("larson_stress: without guard words and delayed reuse: they are in builds with --config=guard\n");
    }
  }
  fflush(stdout);

  const Result result = Stress(options).Run();
  printf("larson_stress: events %llu, threads born %llu, blocks handed on %llu\n",
         static_cast<unsigned long long>(result.events), static_cast<unsigned long long>(result.threads),
         static_cast<unsigned long long>(result.handed_on));
  for (const char* name : {"adopted", "drains", "drained", "notifications", "claims_refused"}) {
    printf("larson_stress: hakmem: %s %lld\n", name, static_cast<long long>(Statistic(name)));
  }
  int64_t least = absl::GetFlag(FLAGS_least_events);
  if (least < 0) least = static_cast<int64_t>(options.seconds * 1000);
  if (result.events < static_cast<uint64_t>(least)) {
    printf("larson_stress: FAILED: fewer than %lld events\n", static_cast<long long>(least));
    return kExitTooFew;
  }
  // The load is there for these: without them it has shown nothing.
  if (Statistic("adopted") <= 0 || Statistic("drained") <= 0) {
    printf("larson_stress: FAILED: no slab was adopted, or none drained\n");
    return kExitTooFew;
  }
  printf("larson_stress: passed\n");
  return 0;
}

}  // namespace
}  // namespace hakmem::stress

int main(int argc, char** argv) { return hakmem::stress::Main(argc, argv); }
