// What a guard build finds, each time with the block that it was, and what it has to leave alone.
#include "hakmem/guard/guard.h"

#include <gtest/gtest.h>
#include <hakmem/hakmem.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace hakmem {
namespace {

std::string Address(const void* p) {
  char text[32];
  snprintf(text, sizeof(text), "%p", p);
  return text;
}

// "hakmem: WHERE(ADDRESS): WHAT".
std::string Report(const char* where, const void* p, const std::string& what) {
  return std::string("hakmem: ") + where + "\\(" + Address(p) + "\\): " + what;
}

std::string BlockText(const void* p, size_t asked) {
  return "block " + Address(p) + ", " + std::to_string(asked) + " bytes asked for";
}

char* New(size_t size) { return static_cast<char*>(hak_malloc(size)); }

// A size of each way through the allocator: of the lists, without a list, a run of slabs, a block of its own.
class GuardSizes : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(All, GuardSizes,
                         testing::Values(1, 7, 16, 24, 100, 1024, 1025, 5000, 32768, 50000, 300000, 1 << 20, 3 << 20));

TEST_P(GuardSizes, WritePastTheEndIsFoundByFree) {
  const size_t size = GetParam();
  for (const size_t distance : {size_t{0}, size_t{1}, size_t{15}}) {
    char* p = New(size);
    memset(p, 1, size);
    EXPECT_DEATH(
        {
          p[size + distance] = 0;
          hak_free(p);
        },
        Report("free", p,
               "block that was written past its end; byte " + std::to_string(distance) +
                   " behind the end is now 0x0, " + BlockText(p, size)));
    hak_free(p);
  }
}

TEST_P(GuardSizes, WritePastTheEndIsFoundByRealloc) {
  const size_t size = GetParam();
  char* p = New(size);
  EXPECT_DEATH(
      {
        p[size] = 'x';
        static_cast<void>(hak_realloc(p, 2 * size));
      },
      "block that was written past its end; byte 0 behind the end is now 0x78, " + BlockText(p, size));
  hak_free(p);
}

TEST_P(GuardSizes, DoubleFreeIsFound) {
  char* p = New(GetParam());
  const bool huge = GetParam() >= (size_t{1} << 20);
  char* other = New(GetParam());
  EXPECT_DEATH(
      {
        hak_free(p);
        hak_free(other);
        hak_free(p);
      },
      // A block of its own is unmapped from hakmem's books at once.
      huge ? Report("free", p, "pointer that hakmem did not hand out")
           : Report("free", p, "block that is free already \\(double free\\)"));
  hak_free(p);
  hak_free(other);
}

TEST_P(GuardSizes, WrongSizeIsFound) {
  const size_t size = GetParam();
  char* p = New(size);
  for (const size_t wrong : {size - 1, size + 1}) {
    EXPECT_DEATH(hak_free_sized(p, wrong),
                 Report("free_sized", p,
                        "block whose size is not the one given; given " + std::to_string(wrong) +
                            " bytes, asked for were " + std::to_string(size)));
  }
  hak_free_sized(p, size);
}

TEST_P(GuardSizes, InteriorPointerIsFound) {
  char* p = New(GetParam());
  for (const size_t inside : {size_t{1}, size_t{8}, size_t{16}}) {
    EXPECT_DEATH(hak_free(p + inside), Report("free", p + inside, "pointer that is not the start of a block"));
  }
  hak_free(p);
}

TEST(Guard, ReportsTellWhatWasAskedFor) {
  char* p = New(200);
  EXPECT_DEATH(hak_free(p + 40), "the block " + Address(p) + ", [0-9]+ bytes \\(asked for: 200\\)");
  hak_free(p);
}

TEST(Guard, InteriorPointerNamesItsBlock) {
  char* p = New(200);
  EXPECT_DEATH(hak_free(p + 40), "; 40 bytes inside of block " + Address(p));
  hak_free(p);
}

// Everything that waits is looked at when the program asks for its memory back, and at the end of the program.
TEST_P(GuardSizes, WriteAfterFreeIsFound) {
  const size_t size = GetParam();
  if (size >= (size_t{1} << 20)) return;  // does not wait: see guard.h
  char* p = New(size);
  const size_t at = size < guard::kMostFilled ? size - 1 : 4711;
  const std::string report = Report("free", p,
                                    "block that was written to after it was freed; byte " + std::to_string(at) +
                                        " is now 0x41, " + BlockText(p, size));
  EXPECT_DEATH(
      {
        hak_free(p);
        p[at] = 'A';
        hak_trim(0);
      },
      report);
  EXPECT_DEATH(
      {
        hak_free(p);
        p[at] = 'A';
        exit(0);
      },
      report);
  hak_free(p);
}

TEST(Guard, WriteAfterFreeIsFoundWhenTheBlockLeavesTheQueue) {
  char* p = New(100);
  EXPECT_DEATH(
      {
        hak_free(p);
        p[50] = 'A';
        for (size_t i = 0; i < guard::kQueueBlocks; ++i) hak_free(New(32));
      },
      Report("free", p, "block that was written to after it was freed; byte 50 is now 0x41"));
  hak_free(p);
}

TEST(Guard, UseAfterReallocIsFound) {
  char* p = New(100);
  EXPECT_DEATH(
      {
        static_cast<void>(hak_realloc(p, 101));
        p[0] = 'A';
        hak_trim(0);
      },
      Report("free", p, "block that was written to after it was freed; byte 0 is now 0x41"));
  hak_free(p);
}

TEST(Guard, FreedBlockIsNotHandedOutSoon) {
  void* p = hak_malloc(100);
  hak_free(p);
  std::vector<void*> others;
  for (int i = 0; i < 1000; ++i) {
    others.push_back(hak_malloc(100));
    ASSERT_NE(others.back(), p);
  }
  for (void* other : others) hak_free(other);
}

// What waits is bounded in bytes, too.
TEST(Guard, WaitingBlocksAreBounded) {
  void* p = hak_malloc(500000);
  hak_free(p);
  bool again = false;
  for (size_t i = 0; i < 4 * guard::kQueueBytes / 500000 && !again; ++i) {
    void* other = hak_malloc(500000);
    again = other == p;
    hak_free(other);
  }
  EXPECT_TRUE(again);
}

TEST_P(GuardSizes, SizeAskedForIsTheUsableSize) {
  const size_t size = GetParam();
  void* blocks[] = {hak_malloc(size),
                    hak_calloc(1, size),
                    hak_realloc(nullptr, size),
                    hak_aligned_alloc(16, size),
                    hak_aligned_alloc(4096, size),
                    hak_aligned_alloc(size_t{1} << 17, size)};
  for (void* p : blocks) {
    ASSERT_EQ(hak_usable_size(p), size);
    memset(p, 0, size);
    hak_free(p);
  }
}

TEST_P(GuardSizes, CallocReadsAsZeroAfterReuse) {
  const size_t size = GetParam();
  for (int i = 0; i < 3; ++i) {
    char* p = New(size);
    memset(p, 0xff, size);
    hak_free(p);
    hak_trim(0);
    char* zero = static_cast<char*>(hak_calloc(1, size));
    EXPECT_EQ(std::string(zero, size), std::string(size, '\0'));
    hak_free(zero);
  }
}

TEST_P(GuardSizes, ReallocKeepsWhatBothHold) {
  const size_t size = GetParam();
  char* p = New(size);
  memset(p, 0x5a, size);
  for (const size_t next : {size + 1, 3 * size, size / 2 + 1, size}) {
    const size_t kept = next < hak_usable_size(p) ? next : hak_usable_size(p);
    p = static_cast<char*>(hak_realloc(p, next));
    ASSERT_EQ(hak_usable_size(p), next);
    ASSERT_EQ(std::string(p, kept), std::string(kept, 0x5a));
    memset(p, 0x5a, next);
  }
  hak_free(p);
}

TEST(Guard, NothingAskedForIsABlockToo) {
  for (void* p : {hak_malloc(0), hak_calloc(0, 8), hak_aligned_alloc(64, 0)}) {
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(hak_usable_size(p), 0u);
    hak_free_sized(p, 0);
  }
  EXPECT_EQ(hak_malloc(PTRDIFF_MAX), nullptr);
  EXPECT_EQ(hak_malloc(SIZE_MAX), nullptr);
  EXPECT_EQ(hak_aligned_alloc(4096, SIZE_MAX - 4096), nullptr);
}

// Blocks that other threads free go through the same queue.
TEST(Guard, BlocksOfManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 20000; ++i) {
        const size_t size = static_cast<size_t>((i * 37 + t) % 3000 + 1);
        char* p = New(size);
        memset(p, t, size);
        hak_free(p);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace hakmem
