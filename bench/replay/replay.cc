// Repeats what a recorded program asked of its allocator:
//
//     ./bazelw run --config=release //testing:replay -- FILE [--repeat=N] [--check]
//
// with its threads, on hakmem or on whatever is preloaded.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/harness/allocator_proof.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/replay/picture.h"
#include "bench/replay/program.h"
#include "bench/replay/runner.h"
#include "testing/recording/recording.h"
#include "testing/support/callers_directory.h"

ABSL_FLAG(std::string, preload, "",
          "the library that serves: 'hakmem', this tree's; a path; or 'none', the C library or what LD_PRELOAD names. "
          "Default: none if LD_PRELOAD is set, else hakmem");
ABSL_FLAG(int64_t, repeat, 1, "how often it is replayed; what is left alive at the end is freed each time");
ABSL_FLAG(bool, check, false,
          "check alignment, contents and zeroes of the blocks; what fails ends the replay with status 3");
ABSL_FLAG(int64_t, points, 24, "points of the first replay at which resident memory is measured");
ABSL_FLAG(std::string, svg, "", "file that gets a picture of live and resident memory");
ABSL_FLAG(bool, salvage, false, "of a damaged file, replay what stands before the damage");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "replay [flags] FILE\n\n"
    "Replays FILE, a recording of HAKMEM_TRACE's or a stream, with the threads that it names and in its order where "
    "blocks go from thread to thread. Each block is touched when it is made. An operation is one call of the "
    "allocator.";

constexpr double kMib = 1024 * 1024;

// Beside this program in the tree of what was built, and in the folder in which `bazel run` and tests start.
std::string HakmemLibrary() {
  char self[4096] = {};
  std::string candidates[2] = {"hakmem/libhakmem.so"};
  if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
    const std::string folder(self, std::string(self).rfind('/'));
    candidates[1] = folder + "/../../hakmem/libhakmem.so";
  }
  for (const std::string& candidate : candidates) {
    char* path = realpath(candidate.c_str(), nullptr);
    if (path == nullptr) continue;
    const std::string found = path;
    free(path);
    return found;
  }
  UsageError("hakmem/libhakmem.so is not there; --preload=PATH names a library");
}

// Starts this program again with a library preloaded, unless it is to go on as it is.
void Preload(const std::vector<std::string>& arguments) {
  std::string library = absl::GetFlag(FLAGS_preload);
  const char* preloaded = getenv("LD_PRELOAD");
  if (library.empty()) library = preloaded != nullptr && *preloaded != 0 ? "none" : "hakmem";
  if (library == "none") return;
  std::vector<std::string> words = arguments;
  if (library == "hakmem") {
    library = HakmemLibrary();
    words.insert(words.begin() + 1, "--expect=hakmem");
  } else if (access(library.c_str(), R_OK) != 0) {
    UsageError(absl::StrCat("--preload=", library, ": ", strerror(errno)));
  }
  words.insert(words.begin() + 1, "--preload=none");
  // What was given comes last, and --preload is left out of it.
  std::vector<char*> command;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 1 && (words[i] == "--preload" || words[i] == "-preload")) {
      ++i;
    } else if (i < 2 || words[i].rfind("--preload=", 0) != 0) {
      command.push_back(words[i].data());
    }
  }
  command.push_back(nullptr);
  setenv("LD_PRELOAD", library.c_str(), 1);
  execv("/proc/self/exe", command.data());
  fprintf(stderr, "replay: it cannot be started again: %s\n", strerror(errno));
  exit(kExitNoResource);
}

int LoadAndCompile(const std::string& path, uint32_t points, int file) {
  const recording::Recording recording = recording::LoadRecording(path);
  if (!recording.note.empty()) fprintf(stderr, "replay: %s: %s\n", path.c_str(), recording.note.c_str());
  if (!recording.error.empty()) {
    fprintf(stderr, "replay: %s: %s\n", path.c_str(), recording.error.c_str());
    if (recording.readable && !absl::GetFlag(FLAGS_salvage)) {
      fprintf(stderr, "replay: --salvage replays the %zu operations before the damage\n", recording.stream.ops.size());
    }
    if (!recording.readable || !absl::GetFlag(FLAGS_salvage)) return kExitUsage;
  }
  const std::string error = CompileProgram(recording.stream, points, file);
  if (error.empty()) return 0;
  fprintf(stderr, "replay: %s\n", error.c_str());
  return kExitNoResource;
}

// In a process of its own: what it takes is no part of the heap that is measured.
int Compile(const std::string& path, uint32_t points) {
  const int file = memfd_create("program", MFD_CLOEXEC);
  const pid_t child = file < 0 ? -1 : fork();
  if (child < 0) {
    fprintf(stderr, "replay: %s\n", strerror(errno));
    exit(kExitNoResource);
  }
  if (child == 0) _exit(LoadAndCompile(path, points, file));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0) exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitNoResource);
  return file;
}

void PrintMemory(const Load& load, const Program& program, const std::vector<Sample>& samples,
                 const std::string& title) {
  std::vector<MemoryPoint> points;
  double most_live = 0;
  double most_resident = 0;
  printf("\n%12s %9s %12s %12s %9s\n", "operation", "seconds", "live MiB", "resident MiB", "ratio");
  for (uint32_t i = 0; i < samples.size(); ++i) {
    const Point& at = program.point(i);
    points.push_back({at.operation, at.live_bytes, samples[i].resident});
    const auto live = static_cast<double>(at.live_bytes);
    const auto resident = static_cast<double>(samples[i].resident);
    most_live = std::max(most_live, live);
    most_resident = std::max(most_resident, resident);
    printf("%12llu %9.3f %12.3f %12.3f %9s\n", static_cast<unsigned long long>(at.operation), samples[i].seconds,
           live / kMib, resident / kMib, at.live_bytes == 0 ? "-" : absl::StrFormat("%.2f", resident / live).c_str());
  }
  printf("\n");
  if (most_live > 0) load.Print("most_resident_per_most_live", most_resident / most_live);
  const std::string path = absl::GetFlag(FLAGS_svg);
  if (path.empty()) return;
  const std::string error = recording::WriteFile(path, MemoryPicture(title, points));
  if (error.empty()) return;
  fprintf(stderr, "replay: %s: %s\n", path.c_str(), error.c_str());
  exit(kExitNoResource);
}

int Main(int argc, char** argv) {
  const std::vector<std::string> words = ParseFlags(kUsage, argc, argv);
  Preload({argv, argv + argc});
  if (words.size() != 1) UsageError(absl::StrCat("one recording is needed, ", words.size(), " given"));
  const int64_t repeat = absl::GetFlag(FLAGS_repeat);
  CheckRange("repeat", repeat, 1, 1'000'000);
  CheckRange("points", absl::GetFlag(FLAGS_points), 0, 1'000'000);
  if (absl::GetFlag(FLAGS_points) == 0 && !absl::GetFlag(FLAGS_svg).empty()) UsageError("--svg needs --points");
  test::EnterCallersDirectory();
  Load load("replay", kUsage, argc, argv);
  const Program program(Compile(words[0], static_cast<uint32_t>(absl::GetFlag(FLAGS_points))));
  std::vector<Sample> samples(program.header().points);
  Runner runner(program, op_stream::SystemAllocator());
  load.Print("recording", words[0]);
  load.Print("threads", program.header().threads);
  load.Print("peak_live_bytes", absl::StrCat(program.header().peak_live));
  load.Start();
  RunOptions options{.check = absl::GetFlag(FLAGS_check), .samples = samples.empty() ? nullptr : samples.data()};
  for (int64_t i = 0; i < repeat; ++i) {
    runner.Run(options);
    options.samples = nullptr;
  }
  load.Finish(program.header().operations * static_cast<uint64_t>(repeat));
  if (!samples.empty()) {
    PrintMemory(load, program, samples, absl::StrCat(words[0], " on ", Describe(ProveAllocator())));
  }
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
