#include "testing/op_stream/random_stream.h"

#include <gtest/gtest.h>

#include "testing/op_stream/allocator.h"
#include "testing/op_stream/executor.h"

namespace hakmem::op_stream {
namespace {

TEST(RandomStream, IsValidAndFollowsFromItsSeed) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const RandomStreamOptions options = {.seed = seed, .ops = 3000};
    const Stream stream = MakeRandomStream(options);
    ASSERT_EQ(FindError(stream), "");
    ASSERT_EQ(stream.ops.size(), 3000u);
    ASSERT_EQ(MakeRandomStream(options), stream);
  }
  EXPECT_NE(MakeRandomStream({.seed = 1}), MakeRandomStream({.seed = 2}));
}

TEST(RandomStream, MostOperationsMakeSenseAndAllKindsOccur) {
  std::vector<Outcome> outcomes;
  const Stream stream = MakeRandomStream({.seed = 4, .ops = 30000});
  const Report report = Execute(stream, HakAllocator(), {.outcomes = &outcomes});
  ASSERT_TRUE(report.ok()) << report.failures[0];
  EXPECT_GT(report.operations, stream.ops.size() * 8 / 10);
  bool done[kOpKinds] = {};
  for (size_t i = 0; i < stream.ops.size(); ++i) {
    done[static_cast<size_t>(stream.ops[i].kind)] |= outcomes[i].kind != Outcome::Kind::kNotDone;
  }
  for (size_t kind = 0; kind < kOpKinds; ++kind) EXPECT_TRUE(done[kind]) << RowOf(static_cast<OpKind>(kind)).name;
}

TEST(Execute, RandomStreamsOnHakmem) {
  for (uint64_t seed = 100; seed < 106; ++seed) {
    const Report report = Execute(MakeRandomStream({.seed = seed}), HakAllocator());
    ASSERT_TRUE(report.ok()) << "seed " << seed << ": " << report.failures[0];
  }
}

TEST(Execute, RandomStreamsOnTheProgramsOwnMalloc) {
  if (!SystemAllocator().refuses) return;  // a sanitizer's malloc takes the use of a block of no bytes for a fault
  for (uint64_t seed = 200; seed < 203; ++seed) {
    const Report report = Execute(MakeRandomStream({.seed = seed}), SystemAllocator());
    ASSERT_TRUE(report.ok()) << "seed " << seed << ": " << report.failures[0];
  }
}

// What the standards fix is the same on both.
TEST(Execute, OutcomesDoNotDependOnTheAllocator) {
  if (!SystemAllocator().refuses) return;  // a sanitizer's malloc does not answer requests that cannot be met
  for (uint64_t seed = 300; seed < 303; ++seed) {
    const Stream stream = MakeRandomStream({.seed = seed, .ops = 5000});
    std::vector<Outcome> ours;
    std::vector<Outcome> theirs;
    ASSERT_TRUE(Execute(stream, HakAllocator(), {.outcomes = &ours}).ok());
    ASSERT_TRUE(Execute(stream, SystemAllocator(), {.outcomes = &theirs}).ok());
    for (size_t i = 0; i < stream.ops.size(); ++i) {
      const Op& op = stream.ops[i];
      if (op.kind == OpKind::kRefused && op.operands[1] == static_cast<uint64_t>(Refusal::kAlignedAllocAlignment))
        continue;
      ASSERT_EQ(ours[i], theirs[i]) << "seed " << seed << ", operation " << i;
    }
  }
}

}  // namespace
}  // namespace hakmem::op_stream
