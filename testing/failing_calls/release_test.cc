// Release builds have no door for faults: the workload alone.

#include "gtest/gtest.h"
#include "testing/failing_calls/workload.h"

namespace hakmem::testing {
namespace {

TEST(Workload, RunsWithoutARefusal) {
  const WorkloadResult result = RunWorkload(4);
  EXPECT_EQ(result.problem, "");
  EXPECT_EQ(result.refused, 0u);
  EXPECT_EQ(CheckAfterwards(), "");
}

}  // namespace
}  // namespace hakmem::testing
