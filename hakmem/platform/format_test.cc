#include "hakmem/platform/format.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

TEST(FormatTest, Numbers) {
  char text[128];
  EXPECT_STREQ((Format(text, sizeof(text)) << uint64_t{0} << " " << UINT64_MAX).text(), "0 18446744073709551615");
  EXPECT_STREQ((Format(text, sizeof(text)) << -1 << " " << INT32_MIN << " " << 7u).text(), "-1 -2147483648 7");
  EXPECT_STREQ((Format(text, sizeof(text)) << Hex{0} << " " << Hex{UINT64_MAX}).text(), "0x0 0xffffffffffffffff");
}

TEST(FormatTest, WhatDoesNotFitIsCutAndNothingBehindIsTouched) {
  char text[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  Format f(text, 5);
  f << "abc" << uint64_t{12345} << "more";
  EXPECT_STREQ(text, "abc1");
  EXPECT_EQ(f.length(), 4u);
  EXPECT_EQ(text[5], 1);
}

TEST(FormatTest, ClipTakesAtMostSoMany) {
  char text[32];
  EXPECT_STREQ((Format(text, sizeof(text)) << Clip{"abcdef", 3} << Clip{"x", 9}).text(), "abcx");
}

}  // namespace
}  // namespace hakmem
