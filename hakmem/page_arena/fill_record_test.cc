#include "hakmem/page_arena/fill_record.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>

#include "gtest/gtest.h"

namespace hakmem::arena {
namespace {

using Advice = FillRecord::Advice;

constexpr size_t kSize = size_t{64} << 10;
constexpr size_t kTrust = size_t{2} << 20;

class FillRecordTest : public testing::Test {
 protected:
  void SetUp() override {
    void* const memory = mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    memory_ = static_cast<char*>(memory);
    madvise(memory_, kMemory, MADV_NOHUGEPAGE);
  }
  void TearDown() override { munmap(memory_, kMemory); }
  static constexpr size_t kMemory = 64 * kSize;

  // The next witness, of which each `step`th page is touched.
  void Watch(size_t step) {
    ASSERT_LE(used_ + kSize, kMemory);
    record_.Watch(kSize, memory_ + used_, kSize);
    Touch(memory_ + used_, step);
    used_ += kSize;
  }
  static void Touch(char* at, size_t step) {
    for (size_t i = 0; step != 0 && i < kSize; i += step * 4096) at[i] = 1;
  }
  // Asks until there is a verdict: how often it was asked in vain.
  int Pending(Advice* then) {
    int looks = 0;
    while ((*then = record_.Ask(kSize, kSize)) == Advice::kPending && looks < 100) ++looks;
    return looks;
  }
  // How many bytes are taken for filled, in pieces of `bytes`, until the answer is another one; which, in `*then`.
  size_t Trust(size_t bytes, Advice* then) {
    size_t trusted = 0;
    while ((*then = record_.Ask(kSize, bytes)) == Advice::kFilled) {
      trusted += bytes;
      if (trusted > size_t{1} << 40) break;
    }
    return trusted;
  }

  FillRecord record_;
  char* memory_ = nullptr;
  size_t used_ = 0;
};

TEST_F(FillRecordTest, TrustEndsWhereNothingIsKnown) {
  Advice then;
  EXPECT_EQ(Trust(kSize, &then), kTrust);
  EXPECT_EQ(then, Advice::kUnknown);
  EXPECT_EQ(record_.Ask(kSize, kSize), Advice::kUnknown);
  EXPECT_EQ(record_.Ask(kSize + 1, kSize), Advice::kUnknown) << "the same octave";
  EXPECT_EQ(record_.Ask(kSize / 2, kSize), Advice::kFilled) << "another one";
}

TEST_F(FillRecordTest, TrustGrowsWithEachWitnessThatWasFilled) {
  Advice then;
  for (const size_t times : {4, 16, 16}) {
    Watch(1);
    EXPECT_EQ(Trust(kSize, &then), times * kTrust);
    EXPECT_EQ(then, Advice::kUnknown);
  }
}

TEST_F(FillRecordTest, AWitnessThatWasTouchedInPartsEndsIt) {
  Advice then;
  Trust(kSize, &then);
  Watch(2);
  EXPECT_GE(Pending(&then), 3) << "it may be filled yet";
  EXPECT_EQ(then, Advice::kSparse);
  EXPECT_EQ(record_.Ask(kSize, kSize), Advice::kSparse) << "until there is another one";
  EXPECT_TRUE(record_.SeemsSparse(kSize));
  EXPECT_FALSE(record_.SeemsSparse(4 * kSize));
  Watch(1);
  EXPECT_EQ(Trust(kSize, &then), 4 * kTrust) << "as much as after the first";
  EXPECT_FALSE(record_.SeemsSparse(kSize));
}

// A program that allocates one block before it fills the one before, or in several threads at once.
TEST_F(FillRecordTest, AWitnessMayBeFilledLater) {
  Advice then;
  Trust(kSize, &then);
  for (const size_t touched : {size_t{0}, size_t{16}}) {
    Watch(touched);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(record_.Ask(kSize, kSize), Advice::kPending);
    Touch(memory_ + used_ - kSize, 1);
    EXPECT_GE(Trust(kSize, &then), 4 * kTrust);
    EXPECT_EQ(then, Advice::kUnknown);
  }
}

TEST_F(FillRecordTest, TimeShortensTheWait) {
  Advice then;
  Trust(kSize, &then);
  Watch(2);
  usleep(60'000);  // the clock ticks every few milliseconds
  EXPECT_EQ(Pending(&then), 4);
  EXPECT_EQ(then, Advice::kSparse);
  Watch(0);
  Watch(1);
  EXPECT_EQ(record_.Ask(kSize, kSize), Advice::kSparse) << "the first one stays";
}

TEST_F(FillRecordTest, LongBlocksAreTrustedForFour) {
  Advice then = Advice::kFilled;
  int blocks = 0;
  constexpr size_t kLong = size_t{10} << 20;
  for (; (then = record_.Ask(kLong, kLong)) == Advice::kFilled; ++blocks) ASSERT_LT(blocks, 100);
  EXPECT_EQ(blocks, 4);
  EXPECT_EQ(record_.Ask(SIZE_MAX / 8, kLong), Advice::kFilled);
}

}  // namespace
}  // namespace hakmem::arena
