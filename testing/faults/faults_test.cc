// What a person sees who makes a mistake: each program's report names the right block, who had it, and what to do.
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "testing/child/child.h"
#include "testing/faults/preloaded.h"

namespace hakmem::faults {
namespace {

using testing::Outcome;

using Variables = std::vector<std::pair<std::string, std::string>>;

Outcome RunFault(const std::string& name, Variables variables, const std::string& library = *g_library) {
  if (!library.empty()) variables.emplace_back("LD_PRELOAD", library);
  // Release builds go on after a foreign pointer.
  variables.emplace_back("HAKMEM_ON_ERROR", "abort");
  return testing::RunChild({library.empty() ? *g_linked_program : *g_program, name}, variables);
}

struct Expected {
  const char* name;
  int signal;
  const char* first_line;  // behind "hakmem: ", the address for $
  const char* block;       // a line with this, the block's address for $; empty: no block is named
  const char* allocated;   // in this function; empty: nowhere
  const char* freed;       // likewise
};

// The tests run with the ring and the crash handler on, so that all is found in release builds as well.
constexpr Expected kExpected[] = {
    {"double-free", SIGABRT, "free($): block that is free already (double free)", "is the block $", "AllocateTheBlock",
     "FreeTheBlock"},
    {"double-free-later", SIGABRT, "free($): block that is free already (double free)", "is the block $",
     "AllocateTheBlock", "FreeTheBlock"},
    {"free-stack", SIGABRT, "free($): pointer that hakmem did not hand out", "", "", ""},
    {"free-mapping", SIGABRT, "free($): pointer that hakmem did not hand out", "", "", ""},
    {"free-interior", SIGABRT, "pointer that is not the start of a block", "is byte 16 of the block $",
     "AllocateTheBlock", ""},
    {"free-twice-after-thread-exit", SIGABRT, "free($): block that is free already (double free)", "is the block $",
     "AllocateTheBlock", "FreeTheBlock"},
    {"use-after-free", SIGSEGV, "SIGSEGV: the program ", "is the block $", "AllocateTheBlock", "FreeTheBlock"},
    {"null-dereference", SIGSEGV, "SIGSEGV: the program wrote to address $, where no memory is", "", "", ""},
    {"wrong-sized-delete", SIGABRT, "block whose size is not the one given", "is the block $", "AllocateTheBlock", ""},
    {"realloc-after-free", SIGABRT, "realloc($): block that is free already (double free)", "is the block $",
     "AllocateTheBlock", "FreeTheBlock"},
    {"write-to-locked-block", SIGSEGV, "SIGSEGV: the program wrote to address", "is byte 100 of the block $",
     "WriteToLockedBlock", ""},
};

std::string Replace(std::string text, const std::string& by) {
  if (const size_t at = text.find('$'); at != std::string::npos) text.replace(at, 1, by);
  return text;
}

// The report's line that holds `text`; its number, or -1.
int LineWith(const std::vector<std::string>& lines, const std::string& text, size_t from = 0) {
  for (size_t i = from; i < lines.size(); ++i) {
    if (absl::StrContains(lines[i], text)) return static_cast<int>(i);
  }
  return -1;
}

class FaultsTest : public ::testing::TestWithParam<Expected> {
 protected:
  FaultsTest() : report_(absl::StrCat(::testing::TempDir(), "/report")) { unlink(report_.c_str()); }

  // The address that the program announced.
  static std::string BlockOf(const Outcome& outcome) {
    const std::vector<std::string> words = absl::StrSplit(absl::StripAsciiWhitespace(outcome.out), ' ');
    EXPECT_EQ(words.size(), 2u) << outcome.out;
    return words.back();
  }

  Variables Recorded() const {
    return {{"HAKMEM_RING", "4096"},
            {"HAKMEM_RING_FILE", absl::StrCat(::testing::TempDir(), "/ring")},
            {"HAKMEM_CRASH_HANDLER", "1"}};
  }

  const std::string report_;
};

TEST_P(FaultsTest, TheReportNamesTheBlockAndWhoHadIt) {
  const Expected& expected = GetParam();
  const Outcome outcome = RunFault(expected.name, Recorded());
  EXPECT_EQ(outcome.signal(), expected.signal) << outcome.err;
  const std::string block = BlockOf(outcome);
  const std::vector<std::string> lines = absl::StrSplit(outcome.err, '\n', absl::SkipEmpty());
  ASSERT_FALSE(lines.empty());
  EXPECT_TRUE(absl::StrContains(lines[0], Replace(expected.first_line, block))) << outcome.err;
  for (const std::string& line : lines) EXPECT_TRUE(absl::StartsWith(line, "hakmem: ")) << line;

  const int at = LineWith(lines, Replace("the block $, ", block));
  if (*expected.block == 0) {
    EXPECT_EQ(at, -1) << outcome.err;
    EXPECT_EQ(LineWith(lines, " is the block "), -1) << outcome.err;
  } else {
    ASSERT_GE(LineWith(lines, Replace(expected.block, block)), 0) << outcome.err;
    const size_t from = static_cast<size_t>(at);
    const int slab = LineWith(lines, "slab: 0x", from);
    EXPECT_GT(slab, at) << outcome.err;
    EXPECT_TRUE(absl::StrContains(lines[from], "asked for: ")) << lines[from];
    const int freed = LineWith(lines, "last freed by thread", from);
    if (*expected.freed == 0) {
      EXPECT_TRUE(absl::StrContains(lines[from], "in use by the program")) << lines[from];
      EXPECT_EQ(freed, -1) << outcome.err;
    } else {
      EXPECT_TRUE(absl::StrContains(lines[from], ", free")) << lines[from];
      ASSERT_GE(freed, 0) << outcome.err;
      EXPECT_TRUE(absl::StrContains(lines[static_cast<size_t>(freed)], expected.freed)) << outcome.err;
    }
    const int allocated = LineWith(lines, "last allocated by thread", from);
    ASSERT_GE(allocated, 0) << outcome.err;
    EXPECT_TRUE(absl::StrContains(lines[static_cast<size_t>(allocated)], expected.allocated)) << outcome.err;
  }
  // Where, down to main; and what to do next.
  EXPECT_GE(LineWith(lines, " main+0x"), 0) << outcome.err;
  EXPECT_GE(LineWith(lines, absl::StrCat("addr2line -Cfie ")), 0) << outcome.err;
  EXPECT_GE(LineWith(lines, "//testing:flight -- "), 0) << outcome.err;
}

TEST_P(FaultsTest, TheReportGoesToTheFile) {
  Variables variables = Recorded();
  variables.emplace_back("HAKMEM_REPORT", report_);
  const Outcome outcome = RunFault(GetParam().name, variables);
  EXPECT_EQ(outcome.signal(), GetParam().signal);
  EXPECT_EQ(outcome.err, "");
  const int fd = open(report_.c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  const std::string text = testing::ReadAll(fd);
  close(fd);
  EXPECT_TRUE(absl::StrContains(text, Replace(GetParam().first_line, BlockOf(outcome)))) << text;
}

// Without the ring the block is the same, and the report says how to learn more.
TEST_P(FaultsTest, WithoutTheRingTheBlockIsNamedAsWell) {
  const Expected& expected = GetParam();
  const Outcome outcome = RunFault(expected.name, {{"HAKMEM_CRASH_HANDLER", "1"}});
#if defined(HAKMEM_BUILD_RELEASE)
  // These are found when each block's life is tracked: in debug and guard builds, or with the ring on.
  for (const char* later : {"double-free-later", "free-twice-after-thread-exit", "free-interior"}) {
    if (absl::string_view(expected.name) == later) return;
  }
#endif
  EXPECT_EQ(outcome.signal(), expected.signal) << outcome.err;
  const std::string block = BlockOf(outcome);
  const std::vector<std::string> lines = absl::StrSplit(outcome.err, '\n', absl::SkipEmpty());
  ASSERT_FALSE(lines.empty());
  EXPECT_TRUE(absl::StrContains(lines[0], Replace(expected.first_line, block))) << outcome.err;
  if (*expected.block != 0) {
    const int at = LineWith(lines, Replace(expected.block, block));
    ASSERT_GE(at, 0) << outcome.err;
    const bool is_free = absl::StrContains(lines[static_cast<size_t>(at)], ", free");
    EXPECT_EQ(is_free, *expected.freed != 0) << lines[static_cast<size_t>(at)];
  }
  EXPECT_GE(LineWith(lines, "HAKMEM_RING=65536"), 0) << outcome.err;
}

// The line of code to look at is the program's, whatever hakmem's library is called, and where it is in the program.
TEST(NextStepTest, IsInTheProgram) {
  const std::string copy = absl::StrCat(::testing::TempDir(), "/copy.so");
  ASSERT_EQ(testing::RunChild({"/bin/cp", *g_library, copy}, {}).status, 0);
  for (const std::string& library : {*g_library, copy, std::string()}) {
    const Outcome outcome = RunFault("double-free", {}, library);
    const std::vector<std::string> lines = absl::StrSplit(outcome.err, '\n', absl::SkipEmpty());
    const int next = LineWith(lines, "  next: addr2line -Cfie ");
    ASSERT_GE(next, 0) << library << outcome.err;
    const std::vector<std::string> words = absl::StrSplit(lines[static_cast<size_t>(next)], ' ', absl::SkipEmpty());
    ASSERT_GE(words.size(), 6u);
    // The stack names what is behind the call.
    const std::string behind = absl::StrCat("+0x", absl::Hex(std::stoull(words[5], nullptr, 16) + 1), ")");
    const int frame = LineWith(lines, behind);
    ASSERT_GE(frame, 0) << library << outcome.err;
    EXPECT_TRUE(absl::StrContains(lines[static_cast<size_t>(frame)], " FreeAgain+")) << library << outcome.err;
  }
}

INSTANTIATE_TEST_SUITE_P(All, FaultsTest, ::testing::ValuesIn(kExpected),
                         [](const ::testing::TestParamInfo<Expected>& info) {
                           std::string name;
                           for (const char c : std::string(info.param.name)) {
                             if (c != '-') name += c;
                           }
                           return name;
                         });

}  // namespace
}  // namespace hakmem::faults
