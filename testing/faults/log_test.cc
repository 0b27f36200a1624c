// The debug log: there and quiet in debug and guard builds, and not there at all in release builds.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "testing/child/child.h"
#include "testing/faults/preloaded.h"

namespace hakmem::faults {
namespace {

// Every text of the log begins with it.
constexpr char kMark[] = "hakmem-log: ";

std::string ErrOf(const std::string& level) {
  // Ends by itself, after it has started a thread.
  return testing::RunChild({*g_program, "own-handler"}, {{"LD_PRELOAD", *g_library}, {"HAKMEM_LOG", level}}).err;
}

size_t TextsInLibrary() {
  std::ifstream file(*g_library, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_GT(bytes.size(), 10000u);
  size_t count = 0;
  for (size_t at = 0; (at = bytes.find(kMark, at)) != std::string::npos; ++at) ++count;
  return count;
}

#if defined(HAKMEM_BUILD_RELEASE)

TEST(LogTest, ReleaseBuildsHoldNothingOfIt) {
  EXPECT_EQ(TextsInLibrary(), 0u);
  EXPECT_EQ(ErrOf("4"), "");
}

#else

TEST(LogTest, TheLibraryHoldsItsTexts) { EXPECT_GE(TextsInLibrary(), 5u); }

TEST(LogTest, IsQuietUnlessAskedFor) { EXPECT_EQ(ErrOf("0"), ""); }

TEST(LogTest, HigherLevelsSayMore) {
  const std::string info = ErrOf("3");
  const std::string debug = ErrOf("4");
  EXPECT_TRUE(absl::StrContains(info, "hakmem-log: window at 0x")) << info;
  EXPECT_FALSE(absl::StrContains(info, "superslab")) << info;
  EXPECT_TRUE(absl::StrContains(debug, "hakmem-log: new superslab at 0x")) << debug;
  for (const absl::string_view line : absl::StrSplit(debug, '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(absl::StartsWith(line, kMark)) << line;
  }
}

#endif

}  // namespace
}  // namespace hakmem::faults
