// The crash handler on whole programs: overflowed stacks, handlers of the program's, two threads at once, a reader that
// does not read.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "testing/child/child.h"
#include "testing/faults/preloaded.h"

namespace hakmem::faults {
namespace {

using testing::Outcome;

Outcome RunFault(const std::string& name, const std::string& handler = "1") {
  return testing::RunChild({*g_program, name}, {{"LD_PRELOAD", *g_library}, {"HAKMEM_CRASH_HANDLER", handler}});
}

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++count;
  return count;
}

TEST(CrashTest, WithoutTheOptionThereIsNoReport) {
  const Outcome outcome = RunFault("null-dereference", "0");
  EXPECT_EQ(outcome.signal(), SIGSEGV);
  EXPECT_EQ(outcome.err, "");
}

TEST(CrashTest, AnOverflowedStackIsReported) {
  for (const char* name : {"stack-overflow", "stack-overflow-in-thread", "stack-overflow-in-child"}) {
    const Outcome outcome = RunFault(name);
    EXPECT_EQ(outcome.signal(), SIGSEGV) << name;
    EXPECT_TRUE(absl::StrContains(outcome.err, "The stack is used up")) << name << outcome.err;
    EXPECT_TRUE(absl::StrContains(outcome.err, "UseUpTheStack+0x")) << name << outcome.err;
  }
}

// What the kernel and the processor know of an access, in words.
TEST(CrashTest, EachKindOfAddressIsToldInWords) {
  const Outcome cut = RunFault("read-of-cut-file");
  EXPECT_EQ(cut.signal(), SIGBUS);
  EXPECT_TRUE(absl::StrContains(cut.err, "hakmem: SIGBUS: the program ")) << cut.err;
  EXPECT_TRUE(absl::StrContains(cut.err, ", which no memory stands behind (a file that was cut?)\n")) << cut.err;
  const Outcome jump = RunFault("jump-to-nowhere");
  EXPECT_EQ(jump.signal(), SIGSEGV);
  EXPECT_TRUE(absl::StrContains(jump.err, " address 0x18, where no memory is\n")) << jump.err;
  EXPECT_TRUE(absl::StrContains(jump.err, "JumpToNowhere+0x")) << jump.err;  // the caller
#if defined(__x86_64__)
  EXPECT_TRUE(absl::StrContains(cut.err, "read from address")) << cut.err;
  EXPECT_TRUE(absl::StrContains(jump.err, "jumped to address 0x18")) << jump.err;
  const Outcome wild = RunFault("wild-pointer");
  EXPECT_EQ(wild.signal(), SIGSEGV);
  EXPECT_TRUE(absl::StrContains(wild.err, "used an address that cannot be one: data was taken for a pointer\n"))
      << wild.err;
#endif
}

TEST(CrashTest, AHandlerThatTheProgramSetsLaterIsTheProgramsAlone) {
  const Outcome outcome = RunFault("own-handler");
  EXPECT_EQ(outcome.exit_status(), 42);
  EXPECT_EQ(outcome.err, "");
}

TEST(CrashTest, AbortIsReportedOnceAndStillAborts) {
  const Outcome outcome = RunFault("abort");
  EXPECT_EQ(outcome.signal(), SIGABRT);
  EXPECT_EQ(Count(outcome.err, "SIGABRT: the program called abort"), 1u) << outcome.err;
  // hakmem's own abort has its report already.
  const Outcome own = RunFault("double-free");
  EXPECT_EQ(own.signal(), SIGABRT);
  EXPECT_EQ(Count(own.err, "stack of thread"), 1u) << own.err;
}

TEST(CrashTest, TwoThreadsAtOnceGiveWholeReports) {
  for (int i = 0; i < 20; ++i) {
    const Outcome outcome = RunFault("two-at-once");
    EXPECT_EQ(outcome.signal(), SIGSEGV);
    const size_t reports =
        Count(outcome.err, "hakmem: SIGSEGV: the program wrote to address 0x18, where no memory is\n");
    ASSERT_GE(reports, 1u) << outcome.err;
    ASSERT_LE(reports, 2u) << outcome.err;
    EXPECT_EQ(Count(outcome.err, "SIGSEGV"), reports) << outcome.err;
    // A report ends with this line, and the next begins behind it.
    const std::string end = "HAKMEM_RING=65536 HAKMEM_CRASH_HANDLER=1 tells who allocated and who freed the block\n";
    std::vector<std::string> parts = absl::StrSplit(outcome.err, end);
    ASSERT_EQ(parts.size(), reports + 1) << outcome.err;
    EXPECT_EQ(parts.back(), "");
    parts.pop_back();
    for (const std::string& part : parts) {
      EXPECT_TRUE(absl::StartsWith(part, "hakmem: SIGSEGV")) << outcome.err;
      EXPECT_EQ(Count(part, "stack of thread"), 1u) << outcome.err;
    }
  }
}

TEST(CrashTest, ASignalOfAnotherProcessIsNamedAndEndsTheProgram) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int err = memfd_create("err", 0);
  const pid_t child = fork();
  if (child == 0) {
    setenv("LD_PRELOAD", g_library->c_str(), 1);
    setenv("HAKMEM_CRASH_HANDLER", "1", 1);
    dup2(ends[1], STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execl(g_program->c_str(), g_program->c_str(), "wait", nullptr);
    _exit(127);
  }
  char c;
  ASSERT_EQ(read(ends[0], &c, 1), 1);
  kill(child, SIGSEGV);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  EXPECT_TRUE(absl::StrContains(testing::ReadAll(err), absl::StrCat("SIGSEGV: sent by process ", getpid())));
}

// How long `name` takes to die, with standard error a pipe that is full, and nobody reads.
std::chrono::milliseconds TimeToDie(const char* name) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  const std::string filling(4096, 'x');
  while (write(ends[1], filling.data(), filling.size()) > 0) {
  }
  fcntl(ends[1], F_SETFL, 0);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    setenv("LD_PRELOAD", g_library->c_str(), 1);
    setenv("HAKMEM_CRASH_HANDLER", "1", 1);
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execl(g_program->c_str(), g_program->c_str(), name, nullptr);
    _exit(127);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_TRUE(WIFSIGNALED(status)) << name;
  close(ends[0]);
  close(ends[1]);
  return std::chrono::duration_cast<std::chrono::milliseconds>(took);
}

TEST(CrashTest, AReportDoesNotHoldUpADyingProgram) {
  for (const char* name : {"null-dereference", "double-free", "two-at-once"}) {
    // A second for the report, and as much and a half for the rest. A busy machine takes longer now and then: the least
    // of a few times tells.
    std::chrono::milliseconds least = TimeToDie(name);
    for (int i = 0; i < 2 && least.count() >= 2500; ++i) least = std::min(least, TimeToDie(name));
    EXPECT_LT(least.count(), 2500) << name;
  }
}

}  // namespace
}  // namespace hakmem::faults
