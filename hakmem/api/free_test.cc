// free and its sized forms, under the hak_ names: errno, sizes, and what trim gives back.

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <chrono>
#include <thread>
#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/api/resident_pages.h"
#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(Free, NullDoesNothing) {
  hak_free(nullptr);
  hak_free_sized(nullptr, 100);
  hak_free_aligned_sized(nullptr, 64, 100);
}

TEST(Free, KeepsErrno) {
  std::vector<void*> blocks;
  for (size_t size = 1; size < 3 * kMiB; size += size / 3 + 1) {
    for (int i = 0; i < 20; ++i) blocks.push_back(hak_malloc(size));
  }
  for (void* p : blocks) {
    errno = 4711;
    hak_free(p);
    ASSERT_EQ(errno, 4711);
  }
}

TEST(Free, KeepsErrnoWhenItMakesSystemCalls) {
  const auto calls = [] { return os::CallCount(os::Call::kPurge) + os::CallCount(os::Call::kUnmap); };
  const uint64_t before = calls();
  // What the tests before have refaulted may put the first purge off for a second.
  for (int i = 0; i < 500 && calls() == before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i < 3 ? 0 : 10));
    void* p = hak_malloc(64 * kMiB);
    memset(p, 1, 64 * kMiB);
    errno = 4711;
    hak_free(p);
    EXPECT_EQ(errno, 4711);
  }
  EXPECT_GT(calls(), before) << "nothing was given back";
}

TEST(Free, KeepsErrnoInAThreadThatNeverAllocated) {
  void* p = hak_malloc(100);
  std::thread([p] {
    errno = 4711;
    hak_free(p);
    EXPECT_EQ(errno, 4711);
  }).join();
}

TEST(FreeSized, EverySizeThatWasAskedFor) {
  for (size_t size = 0; size < 3 * kMiB; size += size / 50 + 1) {
    hak_free_sized(hak_malloc(size), size);
    hak_free_sized(hak_calloc(1, size), size);
  }
}

TEST(FreeSized, AfterRealloc) {
  // C23 lets free_sized have what realloc gave, whether or not the block moved.
  for (size_t from : {size_t{10}, size_t{100}, size_t{1000}, size_t{50000}, 3 * kMiB}) {
    for (size_t to = 1; to < 4 * kMiB; to += to / 10 + 1) {
      void* p = hak_realloc(hak_malloc(from), to);
      ASSERT_NE(p, nullptr);
      hak_free_sized(p, to);
    }
  }
}

TEST(FreeSized, EveryAlignmentThatWasAskedFor) {
  for (size_t alignment = 1; alignment <= 4 * kMiB; alignment *= 2) {
    for (size_t size = 0; size < 3 * kMiB; size += size / 3 + 1) {
      void* p = hak_aligned_alloc(alignment, size);
      ASSERT_NE(p, nullptr);
      hak_free_aligned_sized(p, alignment, size);
    }
  }
}

TEST(Trim, GivesAllFreeMemoryBack) {
  std::vector<char*> blocks;
  for (int i = 0; i < 20'000; ++i) {
    blocks.push_back(static_cast<char*>(hak_malloc(1000)));
    memset(blocks.back(), 1, 1000);
  }
  // Whole pages stay only where a block lives: every 64th.
  std::vector<char*> kept;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 64 == 0) {
      kept.push_back(blocks[i]);
    } else {
      hak_free(blocks[i]);
    }
  }
  EXPECT_EQ(hak_trim(0), 1);
  size_t resident = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 64 == 32)
      resident += ResidentPages(reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(blocks[i]) & ~4095), 4096);
  }
  EXPECT_LT(resident, blocks.size() / 64 / 4) << "free pages between blocks are still there";
  for (char* p : kept) EXPECT_EQ(p[999], 1);
  for (char* p : kept) hak_free(p);
}

TEST(Trim, SaysWhenThereWasNothing) {
  hak_trim(0);
  EXPECT_EQ(hak_trim(0), 0);
}

}  // namespace
}  // namespace hakmem
