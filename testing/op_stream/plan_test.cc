#include "testing/op_stream/plan.h"

#include <gtest/gtest.h>

#include "testing/op_stream/random_stream.h"
#include "testing/op_stream/text.h"

namespace hakmem::op_stream {
namespace {

Plan PlanOf(const std::string& ops, const PlanLimits& limits = {}) {
  const Decoded decoded = ParseText("stream threads=3 slots=4 max_size=1000 max_live=2000\n" + ops);
  EXPECT_EQ(decoded.error, "");
  return MakePlan(decoded.stream, limits);
}

std::vector<uint32_t> OpsOf(const Plan& plan, size_t thread) {
  std::vector<uint32_t> ops;
  for (const Step& step : plan.threads[thread].steps) ops.push_back(step.op);
  return ops;
}

TEST(Plan, LeavesOutWhatMakesNoSense) {
  EXPECT_EQ(PlanOf("0 free 0\n0 check 0\n0 fill 0 1\n0 hand 0 1 0\n0 usable_size 0").left_out, 5u);
  EXPECT_EQ(PlanOf("0 malloc 0 8\n0 malloc 0 8\n0 free 0\n0 free 0").left_out, 2u);
  EXPECT_EQ(PlanOf("1 malloc 0 8").left_out, 1u);  // not started
  EXPECT_EQ(PlanOf("0 start 1\n0 start 1\n1 end\n1 malloc 0 8").left_out, 2u);
  EXPECT_EQ(PlanOf("0 end\n0 start 0").left_out, 2u);
  EXPECT_EQ(PlanOf("0 malloc 0 8\n0 malloc 1 8\n0 hand 0 0 1").left_out, 1u);  // full there
  EXPECT_EQ(PlanOf("0 malloc 0 8\n0 hand 0 0 0").left_out, 1u);
}

TEST(Plan, BoundsLiveBytes) {
  EXPECT_EQ(PlanOf("0 malloc 0 1000\n0 calloc 1 500 2\n0 malloc 2 1\n0 malloc 2 0").left_out, 1u);
  EXPECT_EQ(PlanOf("0 malloc 0 1000\n0 realloc 0 10\n0 malloc 1 1000\n0 malloc 2 990").left_out, 0u);
  EXPECT_EQ(PlanOf("0 malloc 0 1000\n0 malloc 1 1000\n0 free 0\n0 malloc 2 1000").peak_live, 2000u);
  EXPECT_EQ(PlanOf("0 memalign 0 8 12").left_out, 1u);  // the alignment counts
  EXPECT_EQ(PlanOf("0 malloc 0 1000\n0 malloc 1 600\n0 malloc 2 300\n0 realloc 1 701").left_out, 1u);
}

TEST(Plan, ReallocToNothingFrees) {
  EXPECT_EQ(PlanOf("0 malloc 0 8\n0 realloc 0 0\n0 malloc 0 8").left_out, 0u);
  EXPECT_EQ(PlanOf("0 realloc 0 0\n0 malloc 0 8").left_out, 1u);  // of nothing, it allocates
}

TEST(Plan, WaitsForTheHandAndForTheEmptySlot) {
  const Plan plan =
      PlanOf("0 start 1\n0 malloc 2 8\n0 malloc 3 8\n0 hand 3 1 0\n1 free 0\n1 malloc 1 8\n0 hand 2 1 0\n1 check 0");
  ASSERT_EQ(plan.left_out, 0u);
  ASSERT_EQ(OpsOf(plan, 0), (std::vector<uint32_t>{0, 1, 2, 3, 6}));
  ASSERT_EQ(OpsOf(plan, 1), (std::vector<uint32_t>{4, 5, 7}));
  EXPECT_EQ(plan.threads[1].steps[0].waits[0].steps, 4u);  // the hand
  EXPECT_TRUE(plan.threads[0].steps[3].watched);
  EXPECT_EQ(plan.threads[1].steps[1].waits[0].steps, 0u);  // its own slot
  EXPECT_EQ(plan.threads[0].steps[4].waits[0].thread, 1u);
  EXPECT_EQ(plan.threads[0].steps[4].waits[0].steps, 1u);  // the free before
  EXPECT_FALSE(plan.threads[0].steps[2].watched);
}

TEST(Plan, ThreadsLiveAgain) {
  const Plan plan = PlanOf("0 start 1\n1 malloc 0 8\n1 end\n0 start 2\n2 start 1\n1 free 0\n1 malloc 0 8");
  ASSERT_EQ(plan.left_out, 0u);
  ASSERT_EQ(plan.threads[1].lives.size(), 2u);
  EXPECT_EQ(plan.threads[1].lives[0].end, 2u);
  EXPECT_EQ(plan.threads[1].lives[1].begin, 2u);
  EXPECT_EQ(plan.threads[1].lives[1].end, 4u);
  EXPECT_EQ(plan.threads[2].steps[0].detail, 1u);
}

TEST(Plan, BarriersAreForThreadsThatRun) {
  const Plan plan = PlanOf("0 barrier\n0 start 1\n1 barrier\n0 start 2\n2 barrier\n1 end\n0 barrier");
  EXPECT_EQ(plan.barriers, (std::vector<uint32_t>{1, 2, 3, 2}));
  EXPECT_EQ(OpsOf(plan, 1), (std::vector<uint32_t>{2, 4, 5}));
}

TEST(Plan, AForkWaitsForAllThatWasHandedToItsThread) {
  const Plan plan = PlanOf(
      "0 start 1\n0 start 2\n0 malloc 0 8\n1 malloc 0 8\n2 malloc 0 8\n0 hand 0 1 1\n2 hand 0 1 2\n1 fork\n0 malloc 0 "
      "8\n"
      "1 free 1\n0 hand 0 1 1");
  ASSERT_EQ(plan.left_out, 0u);
  const Step& fork = plan.threads[1].steps[1];
  ASSERT_EQ(fork.op, 7u);
  EXPECT_NE(fork.waits[0].steps, 0u);
  EXPECT_NE(fork.waits[1].steps, 0u);
  EXPECT_NE(fork.waits[0].thread, fork.waits[1].thread);
  EXPECT_EQ(PlanOf("0 fork\n0 fork\n0 start 1\n1 end\n0 start 1", {.forks = 1, .starts = 1}).left_out, 2u);
}

// What the executor relies on so as not to hang: a step waits only for steps of operations before its own.
TEST(Plan, WaitsAreForEarlierOperations) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Stream stream = MakeRandomStream({.seed = seed, .ops = 2000, .header = {.threads = 5, .slots = 8}});
    const Plan plan = MakePlan(stream);
    for (const ThreadPlan& thread : plan.threads) {
      uint32_t last = 0;
      for (size_t i = thread.steps.size(); i-- > 0;) {
        const Step& step = thread.steps[i];
        const uint32_t op = step.op != Step::kOnlyWait ? step.op : last;
        last = op;
        for (const Wait& wait : step.waits) {
          if (wait.steps == 0) continue;
          const Step& other = plan.threads[wait.thread].steps[wait.steps - 1];
          ASSERT_TRUE(other.watched);
          ASSERT_LT(other.op, op);
        }
      }
    }
  }
}

}  // namespace
}  // namespace hakmem::op_stream
