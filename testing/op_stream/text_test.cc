#include "testing/op_stream/text.h"

#include <gtest/gtest.h>

#include "testing/op_stream/random_stream.h"

namespace hakmem::op_stream {
namespace {

TEST(TextForm, RoundTrips) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Stream stream = MakeRandomStream({.seed = seed, .ops = 500});
    const Decoded decoded = ParseText(ToText(stream));
    ASSERT_EQ(decoded.error, "");
    ASSERT_EQ(decoded.stream, stream);
  }
}

TEST(TextForm, RoundTripsWhatWasDecodedFromAnyBytes) {
  SeededRandom random(1);
  for (int round = 0; round < 500; ++round) {
    std::string bytes(200, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.Next());
    const Stream stream = DecodeLoose(bytes, {});
    ASSERT_EQ(ParseText(ToText(stream)).stream, stream);
  }
}

TEST(TextForm, SkipsCommentsAndEmptyLines) {
  const Decoded decoded = ParseText(
      "# a stream\n\nstream threads=2 slots=4 max_size=100 max_live=1000\n"
      "0 malloc 1 100 # a block\n\t0  hand 1 1 3\n");
  EXPECT_EQ(decoded.error, "");
  ASSERT_EQ(decoded.stream.ops.size(), 2u);
  EXPECT_EQ(decoded.stream.ops[0], (Op{OpKind::kMalloc, 0, {1, 100, 0}}));
  EXPECT_EQ(decoded.stream.ops[1], (Op{OpKind::kHand, 0, {1, 1, 3}}));
}

TEST(TextForm, NamesTheLineOfAnErrorAndKeepsWhatStandsBeforeIt) {
  const std::string head = "stream threads=2 slots=4 max_size=100 max_live=1000\n0 malloc 1 10\n";
  struct Case {
    const char* line;
    const char* error;
  };
  for (const Case& c : {Case{"0 malloc 1", "takes 2 numbers"}, Case{"0 mallok 1 1", "no operation 'mallok'"},
                        Case{"2 free 0", "the thread is 2"}, Case{"0 free 4", "operand 1 of free is 4"},
                        Case{"0 malloc 0 101", "operand 2 of malloc is 101"}, Case{"x free 0", "'x' is no thread"},
                        Case{"0 free y", "'y' is no number"}, Case{"0", "the operation is missing"},
                        Case{"0 calloc 0 20 6", "operand 3 of calloc is 6"}}) {
    const Decoded decoded = ParseText(head + c.line + "\n0 free 1\n");
    EXPECT_NE(decoded.error.find("line 3"), std::string::npos) << decoded.error;
    EXPECT_NE(decoded.error.find(c.error), std::string::npos) << decoded.error;
    EXPECT_TRUE(decoded.readable);
    EXPECT_EQ(decoded.stream.ops.size(), 1u);
  }
  for (const char* bad :
       {"", "0 free 0", "stream threads=0", "stream slots", "stream colour=1", "stream threads=1000"}) {
    EXPECT_FALSE(ParseText(bad).readable) << bad;
    EXPECT_NE(ParseText(bad).error, "") << bad;
  }
}

}  // namespace
}  // namespace hakmem::op_stream
