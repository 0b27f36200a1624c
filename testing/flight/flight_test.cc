// The tool as a whole, on a dump that hakmem wrote: the life of one block, from top to bottom.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "hakmem/platform/build.h"
#include "testing/child/child.h"

namespace hakmem::flight {
namespace {

using testing::Outcome;
using testing::RunChild;

std::string* g_tool = nullptr;
std::string* g_load = nullptr;

class FlightTest : public ::testing::Test {
 protected:
  FlightTest() {
    const Outcome load = RunChild({*g_load, dump_}, {{"HAKMEM_RING", "4000"}, {"HAKMEM_RING_FILE", at_exit_}});
    EXPECT_EQ(load.status, 0) << load.err;
    words_ = absl::StrSplit(absl::StripAsciiWhitespace(load.out), ' ');
    EXPECT_EQ(words_.size(), 3u) << load.out;
    words_.resize(3);
  }

  // The lines of events that the tool shows.
  std::vector<std::string> Lines(std::vector<std::string> flags) {
    flags.insert(flags.begin(), *g_tool);
    flags.push_back(dump_);
    const Outcome outcome = RunChild(flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::vector<std::string> lines = absl::StrSplit(outcome.out, '\n', absl::SkipEmpty());
    if (lines.size() < 2) return {};
    return std::vector<std::string>(lines.begin() + 1, lines.end() - 1);
  }

  const std::string dump_ = ::testing::TempDir() + "/flight.dump";
  const std::string at_exit_ = ::testing::TempDir() + "/flight.exit";
  std::vector<std::string> words_;  // block, its thread, the freeing thread
};

std::string WordOf(const std::string& line, size_t i) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  return i < words.size() ? words[i] : "";
}

// The line of an event that names the pointer, or -1.
int Find(const std::vector<std::string>& lines, const std::string& event, const std::string& thread, int from = 0) {
  for (size_t i = static_cast<size_t>(from); i < lines.size(); ++i) {
    if (WordOf(lines[i], 2) == event && WordOf(lines[i], 1) == thread) return static_cast<int>(i);
  }
  return -1;
}

TEST_F(FlightTest, FilesThatCannotBeWrittenAreTold) {
  const Outcome outcome = RunChild({*g_load, dump_}, {{"HAKMEM_RING", "4000"},
                                                      {"HAKMEM_RING_FILE", dump_ + ".none/ring"},
                                                      {"HAKMEM_STATS", "1"},
                                                      {"HAKMEM_REPORT", dump_ + ".none/report"}});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(absl::StrContains(outcome.err, "HAKMEM_RING_FILE: ")) << outcome.err;
  EXPECT_TRUE(absl::StrContains(outcome.err, "HAKMEM_REPORT: ")) << outcome.err;
  EXPECT_TRUE(absl::StrContains(outcome.err, "statistics of process")) << "they come all the same";
}

TEST_F(FlightTest, ShowsTheLifeOfABlockFromTopToBottom) {
  const std::vector<std::string> lines = Lines({absl::StrCat("--pointer=", words_[0])});
  const int set_up = Find(lines, "set-up", words_[1]);
  const int allocated = Find(lines, "malloc", words_[1]);
  const int freed = Find(lines, "free", words_[2]);
  const int pushed = Find(lines, "remote-push", words_[2]);
  ASSERT_GE(set_up, 0);
  ASSERT_GT(allocated, set_up);
  ASSERT_GT(freed, allocated);
  // In guard builds a block that was freed waits before it goes home.
  if (!kGuardBuild) {
    ASSERT_GT(pushed, freed);
    EXPECT_GT(Find(lines, "retire", words_[1]), pushed);
  }
  EXPECT_TRUE(absl::StrContains(lines[static_cast<size_t>(allocated)], absl::StrCat(words_[0], " ")));
  EXPECT_TRUE(absl::StrContains(lines[static_cast<size_t>(allocated)], "size 40"))
      << lines[static_cast<size_t>(allocated)];
  // Blocks next to it are not in its life.
  for (const std::string& line : lines) {
    const std::string event = WordOf(line, 2);
    if (event == "malloc" || event == "free") EXPECT_EQ(WordOf(line, 3), words_[0]) << line;
  }
}

TEST_F(FlightTest, AnAddressInsideTheBlockServesAsWell) {
  const std::string inside = absl::StrCat("0x", absl::Hex(std::stoull(words_[0], nullptr, 16) + 7));
  EXPECT_EQ(Lines({absl::StrCat("--pointer=", inside)}), Lines({absl::StrCat("--pointer=", words_[0])}));
}

TEST_F(FlightTest, FiltersByThreadClassAndSlab) {
  const std::vector<std::string> of_thread = Lines({absl::StrCat("--thread=", words_[2])});
  ASSERT_FALSE(of_thread.empty());
  for (const std::string& line : of_thread) EXPECT_EQ(WordOf(line, 1), words_[2]) << line;
  EXPECT_TRUE(absl::StrContains(of_thread.front(), "thread-start"));
  EXPECT_TRUE(absl::StrContains(of_thread.back(), "thread-end"));

  // Guard builds put a guard behind the block.
  const std::string large = "class 64, 1024 bytes";
  const std::string small = kGuardBuild ? "class 4, 64 bytes" : "class 3, 48 bytes";
  const std::vector<std::string> of_class = Lines({"--class=64"});
  ASSERT_FALSE(of_class.empty());
  for (const std::string& line : of_class) EXPECT_TRUE(absl::StrContains(line, large)) << line;

  const std::vector<std::string> of_slab = Lines({absl::StrCat("--slab=", words_[0])});
  ASSERT_FALSE(of_slab.empty());
  for (const std::string& line : of_slab) EXPECT_TRUE(absl::StrContains(line, small)) << line;

  EXPECT_LT(Lines({absl::StrCat("--slab=", words_[0]), absl::StrCat("--thread=", words_[2])}).size(), of_slab.size());
  EXPECT_TRUE(Lines({"--thread=1"}).empty());
  EXPECT_EQ(Lines({"--last=3"}).size(), 3u);
}

TEST_F(FlightTest, HugeBlocksAreThereToo) {
  bool huge = false;
  for (const std::string& line : Lines({})) huge = huge || absl::StrContains(line, "size 3145728");
  EXPECT_TRUE(huge);
}

TEST_F(FlightTest, TheRingIsDumpedAtExit) {
  const Outcome outcome = RunChild({*g_tool, absl::StrCat("--pointer=", words_[0]), at_exit_});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(absl::StrContains(outcome.out, words_[0])) << outcome.out;
}

TEST_F(FlightTest, DamageAndMistakesHaveMessagesAndStatuses) {
  std::ifstream whole(dump_, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(whole)), std::istreambuf_iterator<char>());
  const std::string cut = ::testing::TempDir() + "/cut.dump";
  std::ofstream(cut, std::ios::binary) << bytes.substr(0, bytes.size() - 30);

  Outcome outcome = RunChild({*g_tool, cut});
  EXPECT_EQ(outcome.exit_status(), 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(absl::StrContains(outcome.err, "damaged: it ends at byte")) << outcome.err;
  outcome = RunChild({*g_tool, "--salvage", cut});
  EXPECT_EQ(outcome.exit_status(), 3);
  EXPECT_TRUE(absl::StrContains(outcome.out, words_[0]));

  outcome = RunChild({*g_tool, "/nowhere"});
  EXPECT_EQ(outcome.exit_status(), 3);
  EXPECT_TRUE(absl::StrContains(outcome.err, "/nowhere: No such file or directory")) << outcome.err;
  EXPECT_EQ(RunChild({*g_tool}).exit_status(), 2);
  EXPECT_EQ(RunChild({*g_tool, "--pointer=here", dump_}).exit_status(), 2);
}

}  // namespace
}  // namespace hakmem::flight

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 3) return 2;
  std::string tool = argv[1];
  std::string load = argv[2];
  hakmem::flight::g_tool = &tool;
  hakmem::flight::g_load = &load;
  return RUN_ALL_TESTS();
}
