#include "hakmem/run/arguments.h"

#include "gtest/gtest.h"

namespace hakmem::run {
namespace {

using Strings = std::vector<std::string>;

TEST(ArgumentsTest, ProgramWithItsArguments) {
  const Arguments parsed = ParseArguments({"ls", "-l", "--stats", "--", "--help"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_FALSE(parsed.stats);
  EXPECT_FALSE(parsed.help);
  EXPECT_EQ(parsed.program, (Strings{"ls", "-l", "--stats", "--", "--help"}));
}

TEST(ArgumentsTest, StatsBeforeTheProgram) {
  const Arguments parsed = ParseArguments({"--stats", "ls", "-l"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_TRUE(parsed.stats);
  EXPECT_EQ(parsed.program, (Strings{"ls", "-l"}));
}

TEST(ArgumentsTest, StatsBeforeTheSeparator) {
  const Arguments parsed = ParseArguments({"--stats", "--", "--odd-name", "x"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_TRUE(parsed.stats);
  EXPECT_EQ(parsed.program, (Strings{"--odd-name", "x"}));
}

TEST(ArgumentsTest, TraceHasAFile) {
  const Arguments parsed = ParseArguments({"--trace=a b.%p", "--stats", "ls"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.trace, "a b.%p");
  EXPECT_TRUE(parsed.stats);
  EXPECT_EQ(parsed.program, Strings{"ls"});
  EXPECT_EQ(ParseArguments({"--trace=", "ls"}).error, "unknown flag --trace= (--help lists the flags)");
  EXPECT_EQ(ParseArguments({"--trace", "ls"}).error, "unknown flag --trace (--help lists the flags)");
}

TEST(ArgumentsTest, HelpNeedsNoProgram) {
  EXPECT_TRUE(ParseArguments({"--help"}).help);
  EXPECT_EQ(ParseArguments({"--help"}).error, "");
}

TEST(ArgumentsTest, Nothing) {
  EXPECT_EQ(ParseArguments({}).error, "no program to run (--help tells how)");
  EXPECT_EQ(ParseArguments({"--stats", "--"}).error, "no program to run (--help tells how)");
}

TEST(ArgumentsTest, UnknownFlag) {
  EXPECT_EQ(ParseArguments({"--statistics", "ls"}).error, "unknown flag --statistics (--help lists the flags)");
}

TEST(ArgumentsTest, EmptyNameIsAProgram) { EXPECT_EQ(ParseArguments({""}).program, Strings{""}); }

}  // namespace
}  // namespace hakmem::run
