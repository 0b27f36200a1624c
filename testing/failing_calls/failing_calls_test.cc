// The n-th system call of a kind fails, for every n that a workload reaches.
//
// Each n is tried in a child of its own, forked before hakmem has served anything, so that each starts from the same
// state.

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "testing/failing_calls/fault_plan.h"
#include "testing/failing_calls/workload.h"

namespace hakmem::testing {
namespace {

struct Failing {
  const char* name;
  os::Call call;
  int error;
  bool for_ever;  // all calls from the n-th on: the system has no more
};

// What a child found, through a pipe.
struct Found {
  uint64_t reached;  // calls of the kind
  uint64_t refused;
  char problem[200];
};

Found InChild(const Failing& failing, uint64_t n) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    Found found = {};
    // Small pages: most of the time would go into clearing huge ones.
    if (failing.call != os::Call::kAdvise) g_options.huge_pages = 0;
    // What is mapped is unmapped only when there is no more to be had.
    if (failing.call == os::Call::kUnmap) g_options.memory_limit = size_t{14} << 20;
    FaultPlan::Set(failing.call, n, failing.for_ever ? FaultPlan::kForEver : 1, failing.error);
    const WorkloadResult result = RunWorkload(2);
    found.reached = FaultPlan::seen();
    FaultPlan::Clear();
    g_options.memory_limit = 0;
    found.refused = result.refused;
    const std::string problem = result.problem.empty() ? CheckAfterwards() : result.problem;
    snprintf(found.problem, sizeof(found.problem), "%s", problem.c_str());
    _exit(write(ends[1], &found, sizeof(found)) == sizeof(found) ? 0 : 1);
  }
  close(ends[1]);
  Found found = {};
  if (read(ends[0], &found, sizeof(found)) != sizeof(found)) snprintf(found.problem, sizeof(found.problem), "no word");
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << failing.name << ": call " << n << " failing ended the process";
  return found;
}

class FailingCalls : public ::testing::TestWithParam<Failing> {};

TEST_P(FailingCalls, EveryOneThatAWorkloadReaches) {
  const Failing& failing = GetParam();
  uint64_t refusing = 0;
  uint64_t n = 1;
  for (;; ++n) {
    const Found found = InChild(failing, n);
    ASSERT_STREQ(found.problem, "") << failing.name << ": call " << n << " failing";
    if (found.refused != 0) ++refusing;
    if (found.reached < n) break;
    ASSERT_LT(n, 500u) << "the workload grew out of this test";
  }
  printf("%s: %lu calls, %lu of them refused a request\n", failing.name, n - 1, refusing);
  EXPECT_GE(n, 2u) << "the workload reaches too few of them";
  // Memory that cannot be had is refused; all else is hakmem's own business.
  if (failing.call == os::Call::kMap && failing.for_ever) {
    EXPECT_GT(refusing, 0u);
  }
  if (failing.call == os::Call::kPurge || failing.call == os::Call::kAdvise) {
    EXPECT_EQ(refusing, 0u);
  }
}

// vm.max_map_count reached: no call that makes an area more succeeds; overcommit refused: mmap alone. Both are ENOMEM.
INSTANTIATE_TEST_SUITE_P(Kinds, FailingCalls,
                         ::testing::Values(Failing{"mmap", os::Call::kMap, ENOMEM, false},
                                           Failing{"mmap_for_ever", os::Call::kMap, ENOMEM, true},
                                           Failing{"mmap_taken", os::Call::kMap, EEXIST, false},
                                           Failing{"munmap", os::Call::kUnmap, ENOMEM, true},
                                           Failing{"purge", os::Call::kPurge, ENOMEM, false},
                                           Failing{"purge_for_ever", os::Call::kPurge, EINVAL, true},
                                           Failing{"mremap", os::Call::kRemap, ENOMEM, false},
                                           Failing{"mremap_for_ever", os::Call::kRemap, ENOMEM, true},
                                           Failing{"advise_for_ever", os::Call::kAdvise, EINVAL, true}),
                         [](const auto& info) { return std::string(info.param.name); });

class PageSizes : public ::testing::TestWithParam<size_t> {};

TEST_P(PageSizes, WorkloadRuns) {
  const pid_t child = fork();
  if (child == 0) {
#if !defined(HAKMEM_BUILD_RELEASE)
    os::SetPageSizeForTest(GetParam());
#endif
    const WorkloadResult result = RunWorkload(4);
    const std::string problem = result.problem.empty() ? CheckAfterwards() : result.problem;
    if (!problem.empty()) fprintf(stderr, "%s\n", problem.c_str());
    _exit(problem.empty() && result.refused == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

INSTANTIATE_TEST_SUITE_P(Pretended, PageSizes, ::testing::Values(4096, 16384, 65536));

}  // namespace
}  // namespace hakmem::testing
