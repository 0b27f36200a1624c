// What hakmem does about misuse, in this build, with each value of HAKMEM_ON_ERROR: the message names the pointer and
// what is known of it, and the process aborts, or goes on with a heap in order.

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "hakmem/platform/build.h"

namespace {

// The program that misuses memory, from the command line.
std::string g_program;

struct Case {
  const char* name;
  const char* call;
  const char* known;
  // Goes on by default in release builds.
  bool foreign = false;
  // Found in builds that keep a bit for each block, not in release: there the pointer passes for a block, and the
  // thread's lists carry no more than the last one freed to compare it with.
  bool needs_bits = false;
};

const char kForeign[] = "did not hand out";
const char kInterior[] = "not the start of a block";
const char kDouble[] = "double free";
const char kSize[] = "size is not the one given";

const Case kCases[] = {
    {"FreeOfStack", "free", kForeign, true},
    {"FreeOfData", "free", kForeign, true},
    {"FreeOfCode", "free", kForeign, true},
    {"FreeOfNullPage", "free", kForeign, true},
    {"FreeOfNonCanonical", "free", kForeign, true},
    {"FreeOfNonCanonicalFar", "free", kForeign, true},
    {"FreeOfLastByte", "free", kForeign, true},
    {"FreeOfMisaligned", "free", kForeign, true},
    {"FreeOfMapping", "free", kForeign, true},
    {"FreeOfUnreadable", "free", kForeign, true},
    {"FreeOfUnmappedNeighbour", "free", kForeign, true},
    {"FreeOfOtherMalloc", "free", kForeign, true},
    {"ReallocOfStack", "realloc", kForeign, true},
    {"FreeSizedOfData", "free_sized", kForeign, true},
    {"FreeOfInterior", "free", kInterior},
    {"FreeOfInteriorMisaligned", "free", kInterior},
    {"FreeOfInteriorInOtherThread", "free", kInterior},
    {"FreeOfInteriorOfLarge", "free", kInterior},
    {"FreeOfInteriorOfHuge", "free", kInterior},
    {"FreeOfInteriorOfHugeSecondPiece", "free", kInterior},
    {"ReallocOfInterior", "realloc", kInterior},
    {"DoubleFreeInARow", "free", kDouble},
    {"DoubleFreeInARowOfListedLarge", "free", kDouble},
    {"DoubleFreeOfLarge", "free", kDouble},
    {"DoubleFreeOfLargeAfterTrim", "free", kDouble},
    {"ReallocOfLargeAfterFree", "realloc", kDouble},
    // Its address is nobody's by then.
    {"DoubleFreeOfHuge", "free", kForeign, true},
    // This one is kept for the next.
    {"DoubleFreeOfShortHuge", "free", kDouble},
    {"DoubleFreeLater", "free", kDouble, false, true},
    {"DoubleFreeThenTrim", "free", kDouble},
    {"DoubleFreeByTwoThreads", "free", kDouble, false, true},
    {"ReallocAfterFree", "realloc", kDouble, false, true},
    {"FreeAfterSlabIsGone", "free", kDouble},
    {"FreeAfterSuperslabIsGone", "free", kForeign, true},
    {"FreeSizedOfInterior", "free_sized", kInterior},
    {"FreeWithLargerSize", "free_sized", kSize},
    {"FreeWithMuchSmallerSize", "free_sized", kSize},
    {"FreeOfHugeWithLargerSize", "free_sized", kSize},
    {"FreeOfHugeWithSmallSize", "free_sized", kSize},
    {"FreeWithOtherAlignment", "free_aligned_sized", kSize},
};

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

// `standard_error` takes the messages; -1: they are read.
Outcome RunProgram(const char* name, const char* on_error, const char* window = "1", const char* ring = "0",
                   int standard_error = -1) {
  const std::string out = testing::TempDir() + "/out";
  const std::string err = testing::TempDir() + "/err";
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    setenv("HAKMEM_ON_ERROR", on_error, 1);
    setenv("HAKMEM_WINDOW", window, 1);
    setenv("HAKMEM_RING", ring, 1);
    unsetenv("HAKMEM_REPORT");
    if (freopen(out.c_str(), "w", stdout) == nullptr || freopen(err.c_str(), "w", stderr) == nullptr) _exit(126);
    if (standard_error != -1 && dup2(standard_error, STDERR_FILENO) < 0) _exit(126);
    execl(g_program.c_str(), g_program.c_str(), name, nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return {status, ReadFile(out), ReadFile(err)};
}

// The text behind "pointer ", to the end of its line.
std::string Pointer(const std::string& out) {
  const size_t at = out.find("pointer ");
  return at == std::string::npos ? "" : out.substr(at + 8, out.find('\n', at) - at - 8);
}

class Misuse : public testing::TestWithParam<Case> {};

void CheckMessage(const Case& one, const Outcome& outcome) {
  const std::string wanted = "hakmem: " + std::string(one.call) + "(" + Pointer(outcome.out) + "): ";
  const size_t at = outcome.err.find(wanted);
  ASSERT_NE(at, std::string::npos) << "expected: " << wanted << "\n" << outcome.err << outcome.out;
  const std::string line = outcome.err.substr(at, outcome.err.find('\n', at) - at);
  EXPECT_NE(line.find(one.known), std::string::npos) << line;
}

void CheckAborts(const Case& one, const char* on_error) {
  const Outcome outcome = RunProgram(one.name, on_error);
  CheckMessage(one, outcome);
  EXPECT_TRUE(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT) << outcome.status << outcome.err;
}

void CheckGoesOn(const Case& one, const char* on_error) {
  const Outcome outcome = RunProgram(one.name, on_error);
  CheckMessage(one, outcome);
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out, "pointer " + Pointer(outcome.out) + "\nwent on\n");
}

TEST_P(Misuse, IsReportedAndEndsOrGoesOn) {
  const Case& one = GetParam();
  if (one.needs_bits && !hakmem::kTrackBlocks) return;
  CheckAborts(one, "abort");
  CheckGoesOn(one, "continue");
  if (hakmem::kReleaseBuild && one.foreign) {
    CheckGoesOn(one, "default");
  } else {
    CheckAborts(one, "default");
  }
}

// Without an address window a pointer may be anything, too.
TEST(MisuseWithoutWindow, ForeignPointersAreReported) {
  int seen = 0;
  for (const Case& one : kCases) {
    if (!one.foreign || std::string(one.call) != "free") continue;
    SCOPED_TRACE(one.name);
    const Outcome outcome = RunProgram(one.name, "continue", "0");
    CheckMessage(one, outcome);
    EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
    ++seen;
  }
  EXPECT_GT(seen, 10);
}

// A message that nobody reads raises SIGPIPE in whoever writes it, which would end the program either way.
TEST(MisuseWithoutReader, GoesOnOrAbortsAllTheSame) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  for (const char* name : {"FreeOfStack", "DoubleFreeInARow"}) {
    const Outcome goes_on = RunProgram(name, "continue", "1", "0", ends[1]);
    EXPECT_EQ(goes_on.status, 0) << name;
    EXPECT_NE(goes_on.out.find("went on"), std::string::npos) << name;
    const int status = RunProgram(name, "abort", "1", "0", ends[1]).status;
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << name << " " << status;
  }
  close(ends[1]);
}

// A program without a mistake, also while the ring tracks each block's life: blocks of all sizes are used, freed, and
// used again.
TEST(NoMisuse, NothingIsReported) {
  for (const char* ring : {"0", "1000"}) {
    const Outcome outcome = RunProgram("Nothing", "abort", "1", ring);
    EXPECT_EQ(outcome.status, 0) << ring;
    EXPECT_EQ(outcome.err, "") << ring;
    EXPECT_EQ(outcome.out, "went on\n") << ring;
  }
}

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

INSTANTIATE_TEST_SUITE_P(All, Misuse, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) return 2;
  g_program = argv[1];
  return RUN_ALL_TESTS();
}
