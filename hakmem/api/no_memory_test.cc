// A system call that fails leads to ENOMEM, and to a heap that goes on working once memory is there again.

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <atomic>
#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/platform/os.h"
#include "testing/support/threads.h"

namespace hakmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

int NoMapping(os::Call call) { return call == os::Call::kMap || call == os::Call::kRemap ? ENOMEM : 0; }
int NoCallAtAll(os::Call) { return ENOMEM; }

std::atomic<int> g_good_calls{0};
int FailsLater(os::Call) { return g_good_calls.fetch_sub(1) > 0 ? 0 : ENOMEM; }

class NoMemory : public testing::Test {
 protected:
  ~NoMemory() override { os::SetFaultHook(nullptr); }
};

TEST_F(NoMemory, LargeAndSmallBlocksFailWithEnomem) {
  std::vector<void*> blocks;
  os::SetFaultHook(NoMapping);
  for (size_t size : {size_t{40}, size_t{3000}, size_t{200000}, 3 * kMiB}) {
    errno = 0;
    void* p = nullptr;
    // What is mapped already may serve a while.
    for (int i = 0; i < 1'000'000; ++i) {
      p = hak_malloc(size);
      if (p == nullptr) break;
      blocks.push_back(p);
    }
    EXPECT_EQ(p, nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_calloc(1, size), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_aligned_alloc(64, size), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    void* out = nullptr;
    EXPECT_EQ(hak_posix_memalign(&out, 64, size), ENOMEM);
  }
  os::SetFaultHook(nullptr);
  for (void* p : blocks) hak_free(p);
  for (size_t size : {size_t{40}, size_t{3000}, size_t{200000}, 3 * kMiB}) {
    void* p = hak_malloc(size);
    EXPECT_NE(p, nullptr) << size;
    hak_free(p);
  }
}

TEST_F(NoMemory, ReallocKeepsTheBlock) {
  char* p = static_cast<char*>(hak_malloc(3 * kMiB));
  strcpy(p, "stays");
  char* q = static_cast<char*>(hak_malloc(100));
  strcpy(q, "stays");
  hak_trim(0);
  os::SetFaultHook(NoMapping);
  errno = 0;
  EXPECT_EQ(hak_realloc(p, size_t{1} << 36), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(hak_realloc(q, size_t{1} << 36), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  os::SetFaultHook(nullptr);
  EXPECT_STREQ(p, "stays");
  EXPECT_STREQ(q, "stays");
  hak_free(p);
  hak_free(q);
}

// A smaller block cannot be had either, which programs do not expect.
TEST_F(NoMemory, ABlockThatShrinksStaysWhereItIs) {
  char* const p = static_cast<char*>(hak_malloc(200000));
  strcpy(p, "stays");
  std::vector<void*> blocks;
  os::SetFaultHook(NoMapping);
  while (void* block = hak_malloc(40)) blocks.push_back(block);
  errno = 4711;
  EXPECT_EQ(hak_realloc(p, 40), p);
  EXPECT_EQ(errno, 4711);
  EXPECT_STREQ(p, "stays");
  os::SetFaultHook(nullptr);
  hak_free(p);
  for (void* block : blocks) hak_free(block);
}

// A thread that comes when there is not even memory for its heap can give back, and what it gives back is not lost.
TEST_F(NoMemory, AThreadWithoutAHeapFrees) {
  constexpr size_t kSize = 77 * 16 - 16;
  void* const p = hak_malloc(kSize);
  ASSERT_NE(p, nullptr);
  os::SetFaultHook(NoMapping);
  while (gate::AllocateMetadata(64, 64) != nullptr) {
  }
  void* none = p;
  test::RunInThread([&] {
    none = hak_malloc(kSize);
    hak_free(p);
  });
  os::SetFaultHook(nullptr);
  EXPECT_EQ(none, nullptr);
  hak_trim(0);
  std::vector<void*> blocks;
  bool again = false;
  for (int i = 0; i < 10000 && !again; ++i) {
    blocks.push_back(hak_malloc(kSize));
    again = blocks.back() == p;
  }
  EXPECT_TRUE(again);
  for (void* block : blocks) hak_free(block);
}

TEST_F(NoMemory, FreeNeverFails) {
  std::vector<void*> blocks;
  for (size_t size = 8; size < 8 * kMiB; size += size / 4) blocks.push_back(hak_malloc(size));
  os::SetFaultHook(NoCallAtAll);
  errno = 4711;
  for (void* p : blocks) hak_free(p);
  hak_trim(0);
  EXPECT_EQ(errno, 4711);
  os::SetFaultHook(nullptr);
  void* p = hak_malloc(3 * kMiB);
  EXPECT_NE(p, nullptr);
  hak_free(p);
}

// Whichever call of a varied load is the first that fails.
TEST_F(NoMemory, EveryCallMayBeTheOneThatFails) {
  for (int good = 0; good < 40; ++good) {
    g_good_calls = good;
    os::SetFaultHook(FailsLater);
    std::vector<std::pair<unsigned char*, size_t>> blocks;
    for (size_t size = 8; size < 20 * kMiB; size += size / 2) {
      auto* p = static_cast<unsigned char*>(hak_malloc(size));
      if (p == nullptr) continue;
      p[0] = p[size - 1] = static_cast<unsigned char>(size);
      if (auto* bigger = static_cast<unsigned char*>(hak_realloc(p, 2 * size)); bigger != nullptr) p = bigger;
      blocks.emplace_back(p, size);
    }
    for (auto [p, size] : blocks) {
      EXPECT_EQ(p[0], static_cast<unsigned char>(size)) << size;
      EXPECT_EQ(p[size - 1], static_cast<unsigned char>(size)) << size;
      hak_free(p);
    }
    hak_trim(0);
    os::SetFaultHook(nullptr);
  }
}

// A block that cannot be copied to a shorter one stays; its new size is then the right one to free it with.
TEST_F(NoMemory, WhatStaysLongIsFreedWithItsNewSize) {
  void* const p = hak_malloc(200'000);
  ASSERT_NE(p, nullptr);
  std::vector<void*> blocks;
  os::SetFaultHook(NoMapping);
  while (void* block = hak_malloc(1000)) blocks.push_back(block);
  EXPECT_EQ(hak_realloc(p, 1000), p);
  os::SetFaultHook(nullptr);
  hak_free_sized(p, 1000);
  for (void* block : blocks) hak_free(block);
}

}  // namespace
}  // namespace hakmem
