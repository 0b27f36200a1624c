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
    while ((*then = record_.Ask(kSize, kSize).advice) == Advice::kPending && looks < 100) ++looks;
    return looks;
  }
  // How many bytes are taken for filled, in pieces of `bytes`, until the answer is another one; which, in `*then`.
  size_t Trust(size_t bytes, Advice* then) {
    size_t trusted = 0;
    while ((*then = record_.Ask(kSize, bytes).advice) == Advice::kFilled) {
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
  EXPECT_EQ(record_.Ask(kSize, kSize).advice, Advice::kUnknown);
  EXPECT_EQ(record_.Ask(kSize + 1, kSize).advice, Advice::kUnknown) << "the same octave";
  EXPECT_EQ(record_.Ask(kSize / 2, kSize).advice, Advice::kFilled) << "another one";
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
  EXPECT_EQ(record_.Ask(kSize, kSize).advice, Advice::kSparse) << "until there is another one";
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
    for (int i = 0; i < 3; ++i) EXPECT_EQ(record_.Ask(kSize, kSize).advice, Advice::kPending);
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
  EXPECT_EQ(record_.Ask(kSize, kSize).advice, Advice::kSparse) << "the first one stays";
}

TEST_F(FillRecordTest, FourBlocksAreTrusted) {
  constexpr size_t kLong = size_t{1} << 20;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(record_.Ask(kLong, kLong).advice, Advice::kFilled);
  EXPECT_EQ(record_.Ask(kLong, kLong).advice, Advice::kUnknown);
}

// A program that only touches its blocks here and there would have them resident as a whole until there is a verdict.
TEST_F(FillRecordTest, TrustInLongBlocksHasABound) {
  constexpr size_t kMost = size_t{16} << 20;
  size_t granted = 0;
  // They grow, as the heap of an interpreter does.
  for (size_t size = size_t{8} << 20; size < size_t{1} << 34; size += size / 7) {
    const FillRecord::Answer answer = record_.Ask(size, size);
    EXPECT_LE(answer.bytes, kMost) << "of a block of " << size;
    if (granted >= 2 * kMost) {
      EXPECT_EQ(answer.bytes, 0u) << "after " << granted;
    } else {
      EXPECT_GT(answer.bytes, 0u) << "after " << granted;
    }
    granted += answer.bytes;
  }
  EXPECT_GE(granted, 2 * kMost);
  EXPECT_LE(granted, 3 * kMost);
  // Once one was filled there is more.
  record_.Watch(2 * kMost, memory_, kSize);
  Touch(memory_, 1);
  EXPECT_EQ(record_.Ask(8 * kMost, 8 * kMost).bytes, 4 * kMost);
}

TEST_F(FillRecordTest, AWitnessHasToldWhatItCanWhenItsBlockIsFreed) {
  Advice then;
  Trust(kSize, &then);
  Watch(2);
  record_.Leave(kSize, memory_ + kSize, kSize);  // another block
  EXPECT_FALSE(record_.SeemsSparse(kSize));
  record_.Leave(kSize, memory_, kSize);
  EXPECT_TRUE(record_.SeemsSparse(kSize));
  Watch(1);
  record_.Leave(kSize, memory_, 2 * kSize);
  EXPECT_FALSE(record_.SeemsSparse(kSize));
  EXPECT_TRUE(record_.SeemsFilled(kSize));
}

TEST_F(FillRecordTest, AWitnessIsFollowedWhereItMoves) {
  Advice then;
  Trust(kSize, &then);
  record_.Watch(kSize, memory_ + kSize, kSize);
  record_.Follow(memory_ + 2 * kSize, kSize, memory_);  // not the witness's
  record_.Follow(memory_, 2 * kSize, memory_ + 8 * kSize);
  Touch(memory_ + 9 * kSize, 1);
  EXPECT_EQ(record_.Ask(kSize, kSize).advice, Advice::kFilled);
}

}  // namespace
}  // namespace hakmem::arena
