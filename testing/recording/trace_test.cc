// The tool as a whole: each command on files, and what it says of mistakes.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fuzz/stream_limits.h"
#include "gtest/gtest.h"
#include "testing/child/child.h"
#include "testing/op_stream/codec.h"
#include "testing/op_stream/text.h"
#include "testing/recording/raw_writer.h"
#include "testing/recording/recording.h"

namespace hakmem::recording {
namespace {

using testing::Outcome;
using testing::RunChild;

std::string* g_tool = nullptr;

constexpr char kText[] =
    "stream threads=2 slots=2 max_size=100 max_live=110\n"
    "0 malloc 0 10\n0 start 1\n1 calloc 1 50 2\n1 hand 1 0 1\n0 free 1\n0 free 0\n";

class TraceTest : public ::testing::Test {
 protected:
  TraceTest() { EXPECT_EQ(WriteFile(in_, kText), ""); }

  static Outcome Run(std::vector<std::string> words) {
    words.insert(words.begin(), *g_tool);
    return RunChild(words);
  }

  // Runs a command with `in_` and reads what it wrote.
  op_stream::Stream Result(std::vector<std::string> words) {
    words.push_back("--output=" + out_);
    words.push_back(in_);
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.exit_status(), 0) << outcome.err;
    std::string bytes;
    std::string error;
    EXPECT_TRUE(ReadFile(out_, &bytes, &error)) << error;
    const op_stream::Decoded decoded = op_stream::DecodeFile(bytes);
    EXPECT_EQ(decoded.error, "");
    return decoded.stream;
  }

  void ExpectRefused(int status, const std::string& what, const std::vector<std::string>& words) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.exit_status(), status) << outcome.err;
    EXPECT_TRUE(absl::StrContains(outcome.err, what)) << outcome.err;
  }

  const std::string in_ = ::testing::TempDir() + "/in";
  const std::string out_ = ::testing::TempDir() + "/out";
};

TEST_F(TraceTest, Show) {
  EXPECT_EQ(Run({"show", in_}).out, kText);
  EXPECT_TRUE(absl::EndsWith(Run({"show", "--from=1", "--to=3", in_}).out, "110\n0 start 1\n1 calloc 1 50 2\n"));
  const std::string summary = Run({"show", "--summary", in_}).out;
  EXPECT_TRUE(absl::StrContains(summary, "live at the peak: 110 B (110 bytes) after operation 3")) << summary;
}

TEST_F(TraceTest, Filter) {
  EXPECT_EQ(Result({"filter", "--threads=1"}).ops.size(), 3u);
  EXPECT_EQ(Result({"filter", "--ops=malloc,trim"}).ops.size(), 3u);
  EXPECT_EQ(Result({"filter", "--min_size=11", "--max_size=100"}).ops.size(), 4u);
}

TEST_F(TraceTest, Cut) {
  EXPECT_EQ(Result({"cut", "--from=4"}).ops.size(), 5u);
  EXPECT_EQ(Result({"cut", "--from=4", "--alive=leave-out"}).ops.size(), 1u);
}

TEST_F(TraceTest, Merge) { EXPECT_EQ(Result({"merge", in_}).header.threads, 4u); }

TEST_F(TraceTest, Seed) {
  const Outcome outcome = Run({"seed", "--target=one_thread", "--output=" + out_, in_});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::string bytes;
  std::string error;
  ASSERT_TRUE(ReadFile(out_, &bytes, &error)) << error;
  const op_stream::Stream stream = op_stream::DecodeLoose(bytes, fuzz::StreamLimits(1));
  EXPECT_EQ(op_stream::ToText(stream),
            "stream threads=1 slots=2 max_size=100 max_live=110\n0 malloc 0 10\n0 malloc 1 100\n0 free 1\n0 free 0\n");
}

// A target reads what the tool wrote, whatever was in the recording.
TEST_F(TraceTest, SeedsKeepTheBoundsOfTheTargets) {
  std::string text = "stream threads=3 slots=200 max_size=90000000 max_live=9000000000\n0 start 2\n";
  for (int i = 0; i < 5000; ++i) {
    const int thread = i % 3 == 0 ? 0 : 2;
    absl::StrAppend(&text, thread, " malloc ", i % 200, " ", i * 1000, "\n", thread, " free ", i * 7 % 200, "\n");
  }
  EXPECT_EQ(WriteFile(in_, text), "");
  const std::pair<const char*, uint32_t> targets[] = {{"one_thread", 1}, {"differential", 2}, {"threads", 4}};
  for (const auto& [target, threads] : targets) {
    const Outcome outcome = Run({"seed", absl::StrCat("--target=", target), "--output=" + out_, in_});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::string bytes;
    std::string error;
    ASSERT_TRUE(ReadFile(out_, &bytes, &error)) << error;
    const op_stream::Stream stream = op_stream::DecodeLoose(bytes, fuzz::StreamLimits(threads));
    EXPECT_EQ(op_stream::EncodeLoose(stream), bytes) << target;
    EXPECT_EQ(outcome.out, absl::StrCat(stream.ops.size(), " operations in ", stream.header.threads,
                                        stream.header.threads == 1 ? " thread\n" : " threads\n"));
    EXPECT_EQ(outcome.err, absl::StrCat("trace: ", 10'001 - stream.ops.size(),
                                        " of 10001 operations are beyond what the target reads, and left out\n"));
  }
}

TEST_F(TraceTest, Convert) {
  RawWriter raw;
  raw.Add(1, trace::Op::kThread, {1, 1, 1});
  raw.Add(1, trace::Op::kMalloc, {2, 64, 99});
  raw.Add(1, trace::Op::kFreeNull, {3});
  EXPECT_EQ(WriteFile(in_, raw.Bytes()), "");
  const Outcome outcome = Run({"convert", "--output=" + out_, in_});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(absl::StrContains(outcome.err, "1 times free(NULL)")) << outcome.err;
  EXPECT_EQ(op_stream::ToText(LoadRecording(out_).stream),
            "stream threads=1 slots=1 max_size=99 max_live=99\n0 malloc 0 99\n");
}

TEST_F(TraceTest, DamageIsToldAndWhatIsSoundCanBeSaved) {
  Result({"convert"});
  std::string bytes;
  std::string error;
  ASSERT_TRUE(ReadFile(out_, &bytes, &error));
  EXPECT_EQ(WriteFile(in_, std::string_view(bytes).substr(0, bytes.size() - 3)), "");
  ExpectRefused(3, "the file is cut short", {"show", in_});
  ExpectRefused(3, "--salvage takes the 6 operations", {"show", in_});
  EXPECT_TRUE(absl::StrContains(Run({"show", "--salvage", in_}).out, "0 free 0\n"));
  ExpectRefused(3, "No such file", {"show", "/no/where"});
  ExpectRefused(3, "/no/where: No such file", {"convert", "--output=/no/where", "--salvage", in_});
}

TEST_F(TraceTest, BadUsageEndsWithStatus2) {
  ExpectRefused(2, "a command is missing", {});
  ExpectRefused(2, "there is no command 'shw'", {"shw", in_});
  ExpectRefused(2, "no recording is named", {"show"});
  ExpectRefused(2, "takes one recording, 2 given", {"show", in_, in_});
  ExpectRefused(2, "--output is needed", {"convert", in_});
  ExpectRefused(2, "--threads says nothing to cut", {"cut", "--threads=1", in_});
  ExpectRefused(2, "there is no operation 'mallo'", {"filter", "--ops=mallo", "--output=x", in_});
  ExpectRefused(2, "'x' is no number", {"filter", "--threads=x", "--output=x", in_});
  ExpectRefused(2, "neither allocate nor", {"cut", "--alive=x", "--output=x", in_});
  ExpectRefused(2, "the recording has 6", {"cut", "--from=6", "--output=x", in_});
  ExpectRefused(2, "takes no streams", {"seed", "--target=options", "--output=x", in_});
  EXPECT_TRUE(absl::StrContains(Run({"--help"}).out, "puts several recordings side by side"));
}

}  // namespace
}  // namespace hakmem::recording

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  hakmem::recording::g_tool = new std::string(argv[1]);
  return RUN_ALL_TESTS();
}
