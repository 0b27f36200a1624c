// calloc, under the hak_ names: zero whatever the memory was before, and fresh pages stay untouched.

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/api/resident_pages.h"

namespace hakmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
const size_t kSizes[] = {1, 16, 24, 100, 1000, 1024, 1025, 3000, 32768, 40000, 300000, kMiB, kMiB + 1, 3 * kMiB};

bool IsZero(const void* p, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(p);
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

TEST(Calloc, ProductsThatOverflowAreRefused) {
  volatile size_t half = SIZE_MAX / 2 + 1;
  errno = 0;
  EXPECT_EQ(hak_calloc(half, 2), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(hak_calloc(size_t{1} << 33, size_t{1} << 33), nullptr);
  EXPECT_EQ(errno, ENOMEM);
}

TEST(Calloc, NothingGivesABlock) {
  void* p = hak_calloc(0, 8);
  void* q = hak_calloc(8, 0);
  EXPECT_NE(p, nullptr);
  EXPECT_NE(q, nullptr);
  EXPECT_NE(p, q);
  hak_free(p);
  hak_free(q);
}

TEST(Calloc, FreshMemoryIsZero) {
  for (size_t size : kSizes) {
    std::vector<void*> blocks;
    for (size_t total = 0; total < 2 * kMiB; total += size + 1000) {
      blocks.push_back(hak_calloc(1, size));
      ASSERT_TRUE(IsZero(blocks.back(), size)) << size;
      memset(blocks.back(), 0xff, size);
    }
    for (void* p : blocks) hak_free(p);
  }
}

TEST(Calloc, ReusedMemoryIsZero) {
  for (size_t size : kSizes) {
    // Some of the blocks come back within the thread's lists, some from slabs.
    for (int round = 0; round < 3; ++round) {
      std::vector<void*> blocks;
      for (size_t total = 0; total < 4 * kMiB; total += size + 1000) {
        blocks.push_back(hak_malloc(size));
        memset(blocks.back(), 0xff, size);
      }
      for (void* p : blocks) hak_free(p);
      for (void*& p : blocks) {
        p = hak_calloc(1, size);
        ASSERT_TRUE(IsZero(p, size)) << size;
        memset(p, 0xff, size);
      }
      for (void* p : blocks) hak_free(p);
    }
  }
}

TEST(Calloc, MemoryThatWasGivenBackIsZero) {
  for (size_t size : kSizes) {
    std::vector<void*> blocks;
    for (size_t total = 0; total < 4 * kMiB; total += size + 1000) {
      blocks.push_back(hak_malloc(size));
      memset(blocks.back(), 0xff, size);
    }
    // Every other block stays: slabs in use lose their free pages only.
    for (size_t i = 0; i < blocks.size(); i += 2) hak_free(blocks[i]);
    hak_trim(0);
    for (size_t i = 0; i < blocks.size(); i += 2) {
      blocks[i] = hak_calloc(1, size);
      ASSERT_TRUE(IsZero(blocks[i], size)) << size;
      memset(blocks[i], 0xff, size);
    }
    for (void* p : blocks) hak_free(p);
    hak_trim(0);
    for (void*& p : blocks) {
      p = hak_calloc(1, size);
      ASSERT_TRUE(IsZero(p, size)) << size;
    }
    for (void* p : blocks) hak_free(p);
  }
}

TEST(Calloc, FreshPagesStayUntouched) {
  // Sizes of which more than a page is in question; the smaller of them share a slab.
  for (size_t size : {size_t{200000}, kMiB, 3 * kMiB, 64 * kMiB}) {
    hak_trim(0);
    void* p = hak_calloc(1, size);
    ASSERT_NE(p, nullptr);
    // A huge page may come whole with the first byte that is touched; nothing is touched but the link of a list.
    EXPECT_LE(ResidentPages(p, size), 1u) << size;
    EXPECT_TRUE(IsZero(p, size));
    hak_free(p);
  }
}

}  // namespace
}  // namespace hakmem
