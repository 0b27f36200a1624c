// Each way of making a stream of others: by example, and as properties of random streams.
#include "testing/recording/edit.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "testing/op_stream/plan.h"
#include "testing/op_stream/random_stream.h"
#include "testing/op_stream/text.h"
#include "testing/recording/summary.h"

namespace hakmem::recording {
namespace {

Stream Parse(const std::string& ops) {
  const op_stream::Decoded decoded =
      op_stream::ParseText("stream threads=4 slots=100 max_size=100000 max_live=1000000\n" + ops);
  EXPECT_EQ(decoded.error, "");
  return decoded.stream;
}

std::string TextOf(const Stream& stream) {
  std::string text;
  for (const op_stream::Op& op : stream.ops) text += op_stream::ToText(op) + "\n";
  return text;
}

Stream Random(uint64_t seed, uint32_t ops = 3000) {
  return op_stream::MakeRandomStream({.seed = seed, .ops = ops, .header = {.threads = 4, .slots = 50}});
}

// Valid, with nothing that does nothing.
void ExpectWhole(const Stream& stream) {
  ASSERT_EQ(op_stream::FindError(stream), "");
  ASSERT_EQ(op_stream::MakePlan(stream).left_out, 0u);
}

TEST(CleanTest, LeavesOutWhatDoesNothing) {
  const Stream stream = Parse("0 free 3\n0 malloc 3 10\n0 malloc 3 20\n1 malloc 0 5\n0 start 1\n0 start 1\n0 free 3\n");
  EXPECT_EQ(TextOf(Clean(stream)), "0 malloc 3 10\n0 start 1\n0 free 3\n");
}

TEST(RepackTest, NeedsFewSlotsAndKeepsTheWork) {
  const Stream stream = Parse(
      "0 malloc 90 10\n0 calloc 70 20 3\n0 free 90\n0 memalign 80 100 8\n0 start 1\n0 hand 70 1 55\n1 realloc 55 7\n");
  const Stream packed = Repack(stream);
  EXPECT_EQ(TextOf(packed),
            "0 malloc 0 10\n0 calloc 1 20 3\n0 free 0\n0 memalign 0 100 8\n0 start 1\n0 hand 1 1 0\n1 realloc 0 7\n");
  EXPECT_EQ(packed.header, (op_stream::Header{.threads = 2, .slots = 2, .max_size = 100, .max_live = 316}));
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Stream clean = Clean(Random(seed));
    const Stream small = Repack(clean);
    ExpectWhole(small);
    ASSERT_EQ(small.ops.size(), clean.ops.size());
    const Summary before = Summarize(clean);
    const Summary after = Summarize(small);
    ASSERT_EQ(before.ops, after.ops);
    ASSERT_EQ(before.peak_bytes, after.peak_bytes);
    ASSERT_EQ(before.end_blocks, after.end_blocks);
  }
}

TEST(RepackTest, BlocksBeyondTheSlotsAreLeftOut) {
  const Stream stream =
      Parse("0 malloc 0 1\n0 malloc 1 2\n0 malloc 2 3\n0 fill 2 0\n0 free 2\n0 free 0\n0 malloc 0 4\n");
  EXPECT_EQ(TextOf(Repack(stream, 2)), "0 malloc 0 1\n0 malloc 1 2\n0 free 0\n0 malloc 0 4\n");
}

TEST(FilterTest, ByThread) {
  const Stream stream = Parse(
      "0 malloc 0 10\n0 start 1\n1 start 2\n0 hand 0 1 0\n1 malloc 1 20\n1 hand 1 0 5\n0 free 5\n2 malloc 0 7\n1 free "
      "0\n");
  EXPECT_EQ(TextOf(Filter(stream, {.threads = {0}})), "0 malloc 0 10\n0 free 0\n0 malloc 0 20\n0 free 0\n");
  EXPECT_EQ(TextOf(Filter(stream, {.threads = {1}})), "0 start 1\n1 malloc 0 10\n1 malloc 1 20\n1 free 1\n1 free 0\n");
  EXPECT_EQ(TextOf(Filter(stream, {.threads = {2}})), "0 start 2\n2 malloc 0 7\n");
  EXPECT_EQ(TextOf(Filter(stream, {.threads = {3}})), "");
}

TEST(FilterTest, ByKind) {
  const Stream stream =
      Parse("0 malloc 0 10\n0 calloc 1 2 3\n0 realloc 0 50\n0 fill 1 1\n0 free 0\n0 free 1\n0 trim 0\n");
  EXPECT_EQ(TextOf(Filter(stream, {.kinds = {OpKind::kMalloc}})), "0 malloc 0 10\n0 free 0\n");
  EXPECT_EQ(TextOf(Filter(stream, {.kinds = {OpKind::kCalloc, OpKind::kFill}})),
            "0 calloc 0 2 3\n0 fill 0 1\n0 free 0\n");
  // What realloc got is allocated where only realloc is kept.
  EXPECT_EQ(TextOf(Filter(stream, {.kinds = {OpKind::kRealloc}})), "0 realloc 0 50\n0 free 0\n");
}

TEST(FilterTest, BySize) {
  const Stream stream =
      Parse("0 malloc 0 10\n0 malloc 1 100\n0 realloc 0 50\n0 realloc 1 20\n0 realloc 0 10\n0 free 1\n");
  EXPECT_EQ(TextOf(Filter(stream, {.least_size = 50, .most_size = 100})),
            "0 malloc 0 100\n0 realloc 1 50\n0 free 0\n0 free 1\n");
  const Summary summary = Summarize(Filter(Random(5), {.least_size = 16, .most_size = 31}));
  EXPECT_GT(summary.sizes[5], 50u);
  for (size_t bits = 0; bits < summary.sizes.size(); ++bits) {
    if (bits != 5) EXPECT_EQ(summary.sizes[bits], 0u) << bits;
  }
}

TEST(FilterTest, WithoutConditionsKeepsEverything) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Stream stream = Random(seed);
    EXPECT_EQ(Filter(stream, {}), Repack(Clean(stream)));
  }
}

TEST(FilterTest, ResultsAreWhole) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Stream stream = Random(seed);
    for (uint32_t thread = 0; thread < 4; ++thread) {
      const Stream kept = Filter(stream, {.threads = {thread}});
      ExpectWhole(kept);
      for (const op_stream::Op& op : kept.ops) ASSERT_TRUE(op.thread == thread || op.kind == OpKind::kStart);
    }
    ExpectWhole(Filter(stream, {.threads = {0, 2}, .kinds = {OpKind::kMalloc, OpKind::kRealloc}, .least_size = 30}));
  }
}

TEST(CutTest, AllocatesWhatIsAlive) {
  const Stream stream = Parse(
      "0 malloc 0 10\n0 start 1\n1 memalign 4 20 8\n0 start 2\n2 malloc 0 3\n2 end\n0 malloc 1 5\n0 free 0\n1 free 4\n"
      "0 realloc 1 6\n");
  EXPECT_EQ(TextOf(Cut(stream, 7, 9, Alive::kAllocate)),
            "0 malloc 0 10\n0 malloc 1 5\n0 start 1\n1 memalign 0 20 8\n0 start 2\n2 malloc 0 3\n2 end\n0 free 0\n1 "
            "free 0\n");
  EXPECT_EQ(TextOf(Cut(stream, 7, 10, Alive::kLeaveOut)), "0 start 1\n");
  EXPECT_EQ(Cut(stream, 0, SIZE_MAX, Alive::kAllocate), Repack(Clean(stream)));
}

TEST(CutTest, PiecesFitTogether) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Stream stream = Clean(Random(seed));
    const Summary whole = Summarize(stream);
    for (const size_t at : {size_t{0}, size_t{100}, stream.ops.size() / 2, stream.ops.size() - 1}) {
      const Stream piece = Cut(stream, at, SIZE_MAX, Alive::kAllocate);
      ExpectWhole(piece);
      const Summary summary = Summarize(piece);
      ASSERT_EQ(summary.end_bytes, whole.end_bytes);
      ASSERT_EQ(summary.end_blocks, whole.end_blocks);
      const Stream without = Cut(stream, at, SIZE_MAX, Alive::kLeaveOut);
      ExpectWhole(without);
      ASSERT_LE(Summarize(without).end_blocks, whole.end_blocks);
    }
  }
}

TEST(MergeTest, ThreadsStandSideBySide) {
  const Stream one = Parse("0 malloc 0 1\n0 start 1\n1 malloc 0 2\n0 free 0\n");
  const Stream two = Parse("0 malloc 0 3\n0 free 0\n");
  std::string error;
  EXPECT_EQ(TextOf(Merge({one, two}, &error)),
            "0 start 2\n0 malloc 0 1\n2 malloc 0 3\n0 start 1\n1 malloc 0 2\n2 free 0\n2 end\n0 free 0\n");
  EXPECT_EQ(error, "");
}

TEST(MergeTest, NothingIsLost) {
  std::string error;
  const std::vector<Stream> streams = {Random(1), Random(2, 500), Random(3)};
  const Stream merged = Merge(streams, &error);
  ExpectWhole(merged);
  uint64_t made = 0;
  for (const Stream& stream : streams) made += Summarize(stream).bytes_made;
  EXPECT_EQ(Summarize(merged).bytes_made, made);
  EXPECT_EQ(merged.header.threads, 12u);
}

TEST(MergeTest, TooManyThreads) {
  std::string error;
  const std::vector<Stream> streams(70, Random(1));
  Merge(streams, &error);
  EXPECT_EQ(error, "together they have 280 threads; a stream has at most 256");
}

TEST(SeedTest, ComesBackAsItWas) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const uint32_t threads : {1u, 2u, 4u}) {
      const op_stream::LooseLimits limits{
          .threads = threads, .slots = 20, .max_size = 5000, .max_live = 100000, .ops = 300};
      const Stream piece = FitSeed(Random(seed), 200, 2000, limits);
      ASSERT_EQ(op_stream::FindError(piece), "");
      ASSERT_GT(piece.ops.size(), 50u);
      ASSERT_EQ(op_stream::DecodeLoose(op_stream::EncodeLoose(piece), limits), piece);
    }
  }
}

TEST(SeedTest, TheBusiestThreadIsKept) {
  const Stream stream = Parse("0 malloc 0 5\n0 start 3\n3 malloc 0 1\n3 malloc 1 200\n3 free 0\n");
  EXPECT_EQ(TextOf(FitSeed(stream, 0, 5, {.threads = 1, .slots = 8, .max_size = 100})),
            "0 malloc 0 1\n0 malloc 1 100\n0 free 0\n");
}

TEST(SummaryTest, CountsWhatIsThere) {
  const Summary summary =
      Summarize(Parse("0 malloc 0 10\n0 malloc 1 0\n0 start 1\n0 hand 0 1 0\n1 realloc 0 100\n1 free 0\n1 free 0\n"));
  EXPECT_EQ(summary.left_out, 1u);
  EXPECT_EQ(summary.sizes[0], 1u);
  EXPECT_EQ(summary.sizes[4], 1u);
  EXPECT_EQ(summary.sizes[7], 1u);
  EXPECT_EQ(summary.bytes_made, 110u);
  EXPECT_EQ(summary.peak_bytes, 100u);
  EXPECT_EQ(summary.peak_blocks, 2u);
  EXPECT_EQ(summary.peak_at, 5u);
  EXPECT_EQ(summary.end_blocks, 1u);
  EXPECT_EQ(summary.threads[1].lives, 1u);
  EXPECT_EQ(summary.threads[0].handed_out, 1u);
  EXPECT_NE(ToText(summary).find("64 to 127"), std::string::npos) << ToText(summary);
}

}  // namespace
}  // namespace hakmem::recording
