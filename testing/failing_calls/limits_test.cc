// The workload under the system's own limits: address space (ulimit -v) and data (RLIMIT_DATA), set before the program
// starts, so that hakmem's start-up is under them, too.
//
// Runs itself again as a child with a limit. Not under sanitizers, which need terabytes of address space.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "testing/failing_calls/workload.h"

namespace hakmem::testing {
namespace {

constexpr char kChildFlag[] = "--run_workload";
constexpr char kShrinkFlag[] = "--shrink";
constexpr int kSomeRefused = 3;

// The child's part.
int RunLimited() {
  const WorkloadResult result = RunWorkload(4);
  if (!result.problem.empty()) {
    fprintf(stderr, "%s\n", result.problem.c_str());
    return 1;
  }
  return result.refused == 0 ? 0 : kSomeRefused;
}

// A block that shrinks stays where it is when there is no memory for a smaller one, and the failure leaves no trace.
int ShrinkLimited() {
  void* const blocks[] = {hak_malloc(1000), hak_malloc(20000), hak_malloc(200000)};
  for (const size_t size : {size_t{1} << 22, size_t{1} << 16, size_t{40}}) {
    while (hak_malloc(size) != nullptr) {
    }
  }
  for (void* p : blocks) {
    errno = 4711;
    if (hak_realloc(p, 40) != p || errno != 4711) {
      fprintf(stderr, "errno %d\n", errno);
      return 1;
    }
  }
  return 0;
}

int ExitOf(int resource, size_t megabytes, const char* flag = kChildFlag) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {megabytes << 20, megabytes << 20};
    if (setrlimit(resource, &limit) != 0) _exit(9);
    execl("/proc/self/exe", "limits_test", flag, nullptr);
    _exit(9);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

class Limits : public ::testing::TestWithParam<int> {};

// Room for all, room for some, hardly room for the program: the workload ends well each time.
TEST_P(Limits, WorkloadEndsWell) {
  EXPECT_EQ(ExitOf(GetParam(), 4096), 0);
  bool refused = false;
  for (const size_t megabytes : {400, 200, 120, 100, 80, 48, 32}) {
    const int exit = ExitOf(GetParam(), megabytes);
    refused = refused || exit == kSomeRefused;
    EXPECT_TRUE(exit == 0 || exit == kSomeRefused) << exit << " at " << megabytes << " MiB";
  }
  EXPECT_TRUE(refused) << "no limit was felt";
}

TEST_P(Limits, ABlockThatShrinksStaysWhereItIs) { EXPECT_EQ(ExitOf(GetParam(), 200, kShrinkFlag), 0); }

INSTANTIATE_TEST_SUITE_P(Resources, Limits, ::testing::Values(RLIMIT_AS, RLIMIT_DATA),
                         [](const auto& info) { return info.param == RLIMIT_AS ? "AddressSpace" : "Data"; });

}  // namespace
}  // namespace hakmem::testing

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], hakmem::testing::kChildFlag) == 0) return hakmem::testing::RunLimited();
  if (argc == 2 && strcmp(argv[1], hakmem::testing::kShrinkFlag) == 0) return hakmem::testing::ShrinkLimited();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
