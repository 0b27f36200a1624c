// The protocols hold in every scenario, and each of the six seeded faults of ownership is found.

#include "testing/schedule/scenarios.h"

#include "gtest/gtest.h"

namespace hakmem::schedule {
namespace {

constexpr uint64_t kAtLeast = 50;  // a scenario of which fewer executions are found is none

class EachScenario : public testing::TestWithParam<NamedScenario> {};

TEST_P(EachScenario, Holds) {
  const Exploration exploration = Explore(GetParam().make, {});
  EXPECT_FALSE(exploration.failed) << Describe(exploration);
  EXPECT_TRUE(exploration.complete);
  EXPECT_GE(exploration.executions, kAtLeast);
  RecordProperty("executions", std::to_string(exploration.executions));
}

INSTANTIATE_TEST_SUITE_P(All, EachScenario, testing::ValuesIn(Scenarios()),
                         [](const auto& info) { return std::string(info.param.name); });

struct Seeded {
  const char* name;
  Source source;
  OwnershipFault fault;
};

class EachSource : public testing::TestWithParam<Seeded> {};

TEST_P(EachSource, ClaimsBeforeItDrains) {
  const Exploration sound = Explore(RefillFrom(GetParam().source, OwnershipFault::kNone), {});
  EXPECT_FALSE(sound.failed) << Describe(sound);
  EXPECT_TRUE(sound.complete);
  EXPECT_GE(sound.executions, kAtLeast);
}

TEST_P(EachSource, SeededFaultIsFound) {
  if (GetParam().fault == OwnershipFault::kNone) return;  // the mailbox never had one
  const Exploration faulty = Explore(RefillFrom(GetParam().source, GetParam().fault), {});
  EXPECT_TRUE(faulty.failed);
}

INSTANTIATE_TEST_SUITE_P(All, EachSource,
                         testing::Values(Seeded{"Sticky", Source::kSticky, OwnershipFault::kStickyDrains},
                                         Seeded{"Hot", Source::kHot, OwnershipFault::kHotDrains},
                                         Seeded{"Bench", Source::kBench, OwnershipFault::kBenchDrains},
                                         Seeded{"Mailbox", Source::kMailbox, OwnershipFault::kNone},
                                         Seeded{"Gate", Source::kGate, OwnershipFault::kGateDrains},
                                         Seeded{"Scan", Source::kScan, OwnershipFault::kScanDrains},
                                         Seeded{"HotScan", Source::kHotScan, OwnershipFault::kHotScanDrains}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hakmem::schedule
