#include "hakmem/run/environment.h"

#include "gtest/gtest.h"

namespace hakmem::run {
namespace {

TEST(EnvironmentTest, PreloadAlone) {
  EXPECT_EQ(PreloadValue("/a/libhakmem.so", nullptr), "/a/libhakmem.so");
  EXPECT_EQ(PreloadValue("/a/libhakmem.so", ""), "/a/libhakmem.so");
}

TEST(EnvironmentTest, PreloadGoesBeforeOthers) {
  EXPECT_EQ(PreloadValue("/a/libhakmem.so", "libx.so liby.so"), "/a/libhakmem.so:libx.so liby.so");
}

TEST(EnvironmentTest, SeparatorsCannotBePreloaded) {
  EXPECT_TRUE(CanBePreloaded("/a/libhakmem.so"));
  EXPECT_FALSE(CanBePreloaded("/a b/libhakmem.so"));
  EXPECT_FALSE(CanBePreloaded("/a:b/libhakmem.so"));
}

TEST(EnvironmentTest, RunfilesComeFirst) {
  const std::vector<std::string> candidates = LibraryCandidates({"/out/hakmem/run/run", "run"});
  ASSERT_EQ(candidates.size(), 5u);
  EXPECT_EQ(candidates[0], "/out/hakmem/run/run.runfiles/hakmem/hakmem/libhakmem.so");
  EXPECT_EQ(candidates[1], "/out/hakmem/run/run.runfiles/_main/hakmem/libhakmem.so");
  EXPECT_EQ(candidates[2], "run.runfiles/hakmem/hakmem/libhakmem.so");
  EXPECT_EQ(candidates[4], "/out/hakmem/run/../libhakmem.so");
}

TEST(EnvironmentTest, CallersDirectory) {
  EXPECT_EQ(CallersDirectory(nullptr, nullptr), nullptr);
  EXPECT_EQ(CallersDirectory("", ""), nullptr);
  EXPECT_STREQ(CallersDirectory("/tree", nullptr), "/tree");
  EXPECT_STREQ(CallersDirectory("/tree", "/elsewhere"), "/elsewhere");
}

}  // namespace
}  // namespace hakmem::run
