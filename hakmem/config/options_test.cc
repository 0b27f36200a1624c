#include "hakmem/config/options.h"

#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

std::vector<std::string> lines;
void Keep(const char* line) { lines.emplace_back(line); }

Options Parse(const std::vector<std::string>& entries) {
  lines.clear();
  std::vector<const char*> environment;
  for (const std::string& entry : entries) environment.push_back(entry.c_str());
  environment.push_back(nullptr);
  Options options;
  ParseOptions(environment.data(), &options, Keep);
  return options;
}

// The value of row `i`, by the table's own order.
uint64_t NumberOf(const Options& options, size_t i) {
  std::vector<uint64_t> values;
#define HAKMEM_VALUE_Number(field) options.field
#define HAKMEM_VALUE_Choice(field) options.field
#define HAKMEM_VALUE_Text(field) 0
#define HAKMEM_VALUE(kind, field, ...) values.push_back(HAKMEM_VALUE_##kind(field));
  HAKMEM_OPTIONS(HAKMEM_VALUE)
#undef HAKMEM_VALUE
#undef HAKMEM_VALUE_Number
#undef HAKMEM_VALUE_Choice
#undef HAKMEM_VALUE_Text
  return values[i];
}

TEST(OptionsTest, EveryNumberHasItsDefaultLeastAndGreatest) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionRow& row = GetOptionRow(i);
    if (row.kind != OptionKind::kNumber) continue;
    SCOPED_TRACE(row.name);
    EXPECT_GE(row.default_value, row.least);
    EXPECT_LE(row.default_value, row.greatest);
    EXPECT_EQ(NumberOf(Parse({}), i), row.default_value);
    for (const uint64_t value : {row.least, row.greatest}) {
      EXPECT_EQ(NumberOf(Parse({std::string(row.name) + "=" + std::to_string(value)}), i), value);
      EXPECT_TRUE(lines.empty());
    }
    EXPECT_EQ(NumberOf(Parse({std::string(row.name) + "=" + std::to_string(row.greatest + 1)}), i), row.default_value);
    EXPECT_EQ(lines.size(), 1u);
  }
}

TEST(OptionsTest, IllFormedValuesGiveOneWarningAndTheDefault) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionRow& row = GetOptionRow(i);
    if (row.kind == OptionKind::kText) continue;
    for (const char* value :
         {"", " 1", "-1", "1x", "1KB", "0x1", "1.5", "99999999999999999999", "99999999999999999T"}) {
      SCOPED_TRACE(std::string(row.name) + "=" + value);
      EXPECT_EQ(NumberOf(Parse({std::string(row.name) + "=" + value}), i), row.default_value);
      ASSERT_EQ(lines.size(), 1u);
      EXPECT_NE(lines[0].find(row.name), std::string::npos);
    }
  }
}

TEST(OptionsTest, Suffixes) {
  EXPECT_EQ(Parse({"HAKMEM_IDLE_KEEP=3K"}).idle_keep, uint64_t{3} << 10);
  EXPECT_EQ(Parse({"HAKMEM_IDLE_KEEP=3m"}).idle_keep, uint64_t{3} << 20);
  EXPECT_EQ(Parse({"HAKMEM_IDLE_KEEP=3G"}).idle_keep, uint64_t{3} << 30);
  EXPECT_EQ(Parse({"HAKMEM_IDLE_KEEP=3t"}).idle_keep, uint64_t{3} << 40);
  EXPECT_TRUE(lines.empty());
}

TEST(OptionsTest, Choices) {
  EXPECT_EQ(Parse({"HAKMEM_ON_ERROR=default"}).error_action(), OnError::kDefault);
  EXPECT_EQ(Parse({"HAKMEM_ON_ERROR=abort"}).error_action(), OnError::kAbort);
  EXPECT_EQ(Parse({"HAKMEM_ON_ERROR=continue"}).error_action(), OnError::kContinue);
  EXPECT_TRUE(lines.empty());
  EXPECT_EQ(Parse({"HAKMEM_ON_ERROR=1"}).error_action(), OnError::kDefault);
  EXPECT_EQ(lines.size(), 1u);
}

TEST(OptionsTest, TextsAreTakenAsTheyAre) {
  EXPECT_EQ(Parse({}).report, nullptr);
  lines.clear();
  const char* const environment[] = {"HAKMEM_REPORT=/tmp/a=b", nullptr};
  Options options;
  ParseOptions(environment, &options, Keep);
  EXPECT_STREQ(options.report, "/tmp/a=b");
  EXPECT_TRUE(lines.empty());
}

TEST(OptionsTest, UnknownNamesAreWarnedOfAndOthersAreNot) {
  Parse({"HAKMEM_TINY_FAST_CAPS=1", "HAKMEMORY=1", "PATH=/bin", "HAKMEM_STATS"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("HAKMEM_TINY_FAST_CAPS"), std::string::npos);
  Parse({"HAKMEM_" + std::string(5000, 'X') + "=1"});
  EXPECT_EQ(lines.size(), 1u);
  Options options;
  ParseOptions(nullptr, &options, Keep);
  EXPECT_EQ(lines.size(), 1u);
}

TEST(OptionsTest, PrintShowsEveryEffectiveValue) {
  Options options = Parse({"HAKMEM_IDLE_KEEP=77", "HAKMEM_ON_ERROR=continue"});
  options.report = "here";
  lines.clear();
  PrintOptions(options, Keep);
  ASSERT_EQ(lines.size(), kOptionCount);
  std::string all;
  for (size_t i = 0; i < kOptionCount; ++i) {
    EXPECT_EQ(lines[i].find(std::string("hakmem: ") + GetOptionRow(i).name + "="), 0u) << lines[i];
    all += lines[i] + "\n";
  }
  EXPECT_NE(all.find("HAKMEM_IDLE_KEEP=77 "), std::string::npos);
  EXPECT_NE(all.find("HAKMEM_ON_ERROR=continue "), std::string::npos);
  EXPECT_NE(all.find("HAKMEM_REPORT=here "), std::string::npos);
}

}  // namespace
}  // namespace hakmem
