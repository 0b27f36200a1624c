// soak [flags]: see kUsage.
//
// A round is a process of its own, since options are read once: this program starts itself again, as
//   soak round --variant=NAME --option=VARIABLE=VALUE... --seed=S --round_limit=SECONDS

#include <hakmem/hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "testing/child/child.h"
#include "testing/matrix/variant.h"
#include "testing/matrix/variant_table.h"
#include "testing/soak/round.h"

ABSL_FLAG(double, minutes, 1, "how long rounds are started");
ABSL_FLAG(uint64_t, seed, 0, "of the first round; 0: from the clock");
ABSL_FLAG(std::string, variant, "", "only this one; empty: all, in turn");
ABSL_FLAG(uint64_t, rounds, 0, "ends after so many; 0: when the time is up");
ABSL_FLAG(double, progress, 10, "seconds from one line of progress to the next");
ABSL_FLAG(uint32_t, round_limit, 300, "seconds after which a round counts as hanging");

namespace hakmem::soak {
namespace {

constexpr char kUsage[] =
    "soak [flags]\n\n"
    "Runs random streams of operations over seeds and variants until the time is up. A failure prints the command "
    "that\n"
    "repeats it: where threads race, give it some --rounds more with seeds that follow.\n\n"
    "Exit status: 0 no failure, 1 failures, 2 usage.";

#if defined(HAKMEM_BUILD_RELEASE)
constexpr char kBuild[] = "release";
#elif defined(HAKMEM_BUILD_GUARD)
constexpr char kBuild[] = "guard";
#elif __has_feature(address_sanitizer)
constexpr char kBuild[] = "asan";
#elif __has_feature(thread_sanitizer)
constexpr char kBuild[] = "tsan";
#elif __has_feature(undefined_behavior_sanitizer)
constexpr char kBuild[] = "ubsan";
#else
constexpr char kBuild[] = "debug";
#endif

constexpr size_t kMostDescribed = 10;  // failures with all that they wrote
constexpr char kReport[] = "operations: ";

int RunAsChild(int argc, char** argv) {
  uint64_t seed = 0;
  uint32_t limit = 0;
  for (int i = 2; i < argc; ++i) {
    absl::string_view word = argv[i];
    if (absl::ConsumePrefix(&word, "--seed=") && !absl::SimpleAtoi(word, &seed)) return 2;
    if (absl::ConsumePrefix(&word, "--round_limit=") && !absl::SimpleAtoi(word, &limit)) return 2;
  }
  testing::EnterVariant(argc, argv);
  alarm(limit);
  const RoundResult result = RunRound(seed, AllocatorUnderTest());
  if (!result.failure.empty()) fprintf(stderr, "%s\n", result.failure.c_str());
  printf("%s%" PRIu64 "\n", kReport, result.operations);
  return result.failure.empty() ? 0 : 1;
}

struct Totals {
  uint64_t rounds = 0;
  uint64_t operations = 0;
  std::vector<std::string> failures;  // the commands that repeat them
};

std::string CommandFor(const testing::Variant& variant, uint64_t seed) {
  const std::string config = strcmp(kBuild, "debug") == 0 ? "" : absl::StrCat(" --config=", kBuild);
  return absl::StrCat("./bazelw run", config, " //testing:soak -- --variant=", variant.name, " --seed=", seed,
                      " --rounds=1");
}

void RunOne(const testing::Variant& variant, uint64_t seed, Totals* totals) {
  std::vector<std::string> words = {"/proc/self/exe", "round", "--variant=" + variant.name,
                                    absl::StrCat("--seed=", seed),
                                    absl::StrCat("--round_limit=", absl::GetFlag(FLAGS_round_limit))};
  for (const auto& [variable, value] : variant.options) words.push_back("--option=" + variable + "=" + value);
  std::vector<std::pair<std::string, std::string>> environment;
  // As .bazelrc sets it for tests: a race ends the round.
  if (getenv("TSAN_OPTIONS") == nullptr) environment = {{"TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1"}};
  const testing::Outcome outcome = testing::RunChild(words, environment);

  ++totals->rounds;
  uint64_t operations = 0;
  absl::string_view report = outcome.out;
  const bool reported =
      absl::ConsumePrefix(&report, kReport) && absl::SimpleAtoi(absl::StripSuffix(report, "\n"), &operations);
  totals->operations += operations;
  if (outcome.status == 0 && reported) return;
  std::string how = absl::StrCat("status ", outcome.exit_status());
  if (outcome.signal() != 0) how = absl::StrCat("signal ", outcome.signal());
  if (outcome.signal() == SIGALRM) how = "it hangs";
  totals->failures.push_back(CommandFor(variant, seed));
  printf("soak: FAILED: variant %s, seed %" PRIu64 ": %s\n", variant.name.c_str(), seed, how.c_str());
  if (totals->failures.size() <= kMostDescribed) printf("%s%s", outcome.out.c_str(), outcome.err.c_str());
  printf("soak: to repeat it:\n  %s\n", totals->failures.back().c_str());
}

std::string Clock(double seconds) {
  const auto whole = static_cast<long long>(seconds < 0 ? 0 : seconds);
  char text[32];
  snprintf(text, sizeof(text), "%lld:%02lld", whole / 60, whole % 60);
  return text;
}

int Main(int argc, char** argv) {
  absl::SetProgramUsageMessage(kUsage);
  if (absl::ParseCommandLine(argc, argv).size() != 1) {
    fprintf(stderr, "soak: it takes flags alone; --help names them\n");
    return 2;
  }
  std::vector<testing::Variant> variants;
  for (const testing::Variant& variant : testing::Variants()) {
    const std::string only = absl::GetFlag(FLAGS_variant);
    if (only.empty() || only == variant.name) variants.push_back(variant);
  }
  if (variants.empty()) {
    fprintf(stderr, "soak: there is no such variant; there are:\n");
    for (const testing::Variant& variant : testing::Variants()) fprintf(stderr, "  %s\n", variant.name.c_str());
    return 2;
  }
  uint64_t seed = absl::GetFlag(FLAGS_seed);
  if (seed == 0) seed = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count() / 1000000);
  const uint64_t first = seed;
  const uint64_t most = absl::GetFlag(FLAGS_rounds);
  const double seconds = absl::GetFlag(FLAGS_minutes) * 60;
  const char* const library = hak_version();
  printf("soak: %s (%s), %zu variants, seeds from %" PRIu64 "\n", kBuild, library, variants.size(), first);
  fflush(stdout);

  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  Totals totals;
  double next_line = absl::GetFlag(FLAGS_progress);
  while (most == 0 ? elapsed() < seconds : totals.rounds < most) {
    // In strides of a number without a common divisor with theirs, so that a short run sees variants of all kinds.
    RunOne(variants[totals.rounds * 31 % variants.size()], seed, &totals);
    ++seed;
    if (elapsed() >= next_line) {
      next_line = elapsed() + absl::GetFlag(FLAGS_progress);
      printf("soak: %s: %s left, %" PRIu64 " seeds, %" PRIu64 " operations, %zu failures\n", kBuild,
             Clock(seconds - elapsed()).c_str(), totals.rounds, totals.operations, totals.failures.size());
    }
    fflush(stdout);
  }
  printf("soak: %s: ran %s over %zu variants: seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " operations, %zu failures\n",
         kBuild, Clock(elapsed()).c_str(), variants.size(), first, seed - 1, totals.operations, totals.failures.size());
  for (size_t i = 0; i < totals.failures.size() && i < kMostDescribed; ++i) {
    printf("soak: FAILED:\n  %s\n", totals.failures[i].c_str());
  }
  return totals.failures.empty() ? 0 : 1;
}

}  // namespace
}  // namespace hakmem::soak

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "round") == 0) return hakmem::soak::RunAsChild(argc, argv);
  return hakmem::soak::Main(argc, argv);
}
