// malloc, the aligned forms, usable size and ownership, under the hak_ names.

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <set>
#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"

namespace {

// Not constants to the compiler, which would warn of sizes that cannot be had.
volatile size_t g_most = PTRDIFF_MAX;

bool IsAligned(const void* p, size_t alignment) { return reinterpret_cast<uintptr_t>(p) % alignment == 0; }

std::vector<size_t> Sizes() {
  std::vector<size_t> sizes;
  for (size_t size = 1; size <= 2100; ++size) sizes.push_back(size);
  for (size_t power = 2048; power <= size_t{16} << 20; power *= 2) {
    for (size_t size : {power - 1, power, power + 1, power + power / 3}) sizes.push_back(size);
  }
  return sizes;
}

TEST(Malloc, NothingGivesPointersOfTheirOwn) {
  std::set<void*> seen;
  for (int i = 0; i < 1000; ++i) {
    void* p = hak_malloc(0);
    ASSERT_NE(p, nullptr);
    EXPECT_TRUE(seen.insert(p).second);
  }
  for (void* p : seen) hak_free(p);
}

TEST(Malloc, SizesThatNoObjectCanHaveFail) {
  for (size_t size : {g_most + 1, g_most + 17, size_t{SIZE_MAX} - 16, size_t{SIZE_MAX} - 14, size_t{SIZE_MAX}}) {
    errno = 0;
    EXPECT_EQ(hak_malloc(size), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_calloc(1, size), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_aligned_alloc(64, size), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_memalign(4096, size), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_valloc(size), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_pvalloc(size), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    void* out = &out;
    EXPECT_EQ(hak_posix_memalign(&out, 64, size), ENOMEM) << size;
    EXPECT_EQ(out, &out);
    char* block = static_cast<char*>(hak_malloc(10));
    strcpy(block, "stays");
    errno = 0;
    EXPECT_EQ(hak_realloc(block, size), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_STREQ(block, "stays");
    hak_free(block);
  }
}

// What the machine cannot have, but an object could.
TEST(Malloc, TheWholeAddressSpaceFailsAndTheHeapGoesOn) {
  errno = 0;
  EXPECT_EQ(hak_malloc(g_most), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(hak_malloc(size_t{1} << 46), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  void* p = hak_malloc(size_t{4} << 20);
  EXPECT_NE(p, nullptr);
  hak_free(p);
}

TEST(Malloc, BlocksAreAlignedWritableAndApart) {
  struct Block {
    unsigned char* p;
    size_t size;
  };
  std::vector<Block> blocks;
  for (size_t size : Sizes()) {
    auto* p = static_cast<unsigned char*>(hak_malloc(size));
    ASSERT_NE(p, nullptr);
    EXPECT_TRUE(IsAligned(p, 16)) << size;
    EXPECT_GE(hak_usable_size(p), size);
    EXPECT_TRUE(hak_owns(p));
    p[0] = static_cast<unsigned char>(size);
    p[size - 1] = static_cast<unsigned char>(size);
    blocks.push_back({p, size});
  }
  for (const Block& block : blocks) {
    EXPECT_EQ(block.p[0], static_cast<unsigned char>(block.size)) << block.size;
    EXPECT_EQ(block.p[block.size - 1], static_cast<unsigned char>(block.size)) << block.size;
    hak_free(block.p);
  }
}

TEST(Malloc, AllOfTheUsableSizeIsThePrograms) {
  for (size_t size : {size_t{1}, size_t{20}, size_t{1000}, size_t{1025}, size_t{70000}, size_t{3} << 20}) {
    void* a = hak_malloc(size);
    void* b = hak_malloc(size);
    memset(b, 0x55, hak_usable_size(b));
    memset(a, 0xaa, hak_usable_size(a));
    for (size_t i = 0; i < hak_usable_size(b); ++i) ASSERT_EQ(static_cast<unsigned char*>(b)[i], 0x55) << size;
    hak_free(a);
    hak_free(b);
  }
}

TEST(Aligned, EveryAlignmentOfEverySize) {
  for (size_t alignment = 1; alignment <= size_t{8} << 20; alignment *= 2) {
    std::vector<void*> blocks;
    for (size_t size : {size_t{0}, size_t{1}, size_t{7}, alignment / 2 + 1, alignment, alignment + 1, 3 * alignment}) {
      void* p = hak_aligned_alloc(alignment, size);
      ASSERT_NE(p, nullptr) << alignment << " " << size;
      EXPECT_TRUE(IsAligned(p, alignment)) << alignment << " " << size;
      EXPECT_GE(hak_usable_size(p), size);
      memset(p, 0x5a, size);
      blocks.push_back(p);
      void* out = nullptr;
      if (alignment >= sizeof(void*)) {
        ASSERT_EQ(hak_posix_memalign(&out, alignment, size), 0);
        EXPECT_TRUE(IsAligned(out, alignment));
        blocks.push_back(out);
      }
      void* m = hak_memalign(alignment, size);
      EXPECT_TRUE(IsAligned(m, alignment));
      blocks.push_back(m);
    }
    EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(), blocks.size());
    for (void* p : blocks) hak_free(p);
  }
}

// Out of lists that malloc and free have filled, with blocks of any place in their slabs.
TEST(Aligned, OutOfTheListsOfMalloc) {
  for (size_t alignment = 1; alignment <= 65536; alignment *= 2) {
    for (size_t size = 1; size <= 40'000; size += 1 + size / 9) {
      const size_t rounded = (size + alignment - 1) / alignment * alignment;
      std::vector<void*> blocks;
      for (size_t with : {size, rounded, rounded, rounded, size}) blocks.push_back(hak_malloc(with));
      for (void* p : blocks) hak_free(p);
      blocks.clear();
      errno = 4711;
      for (int i = 0; i < 3; ++i) {
        blocks.push_back(hak_aligned_alloc(alignment, size));
        void* out = nullptr;
        if (alignment >= sizeof(void*)) EXPECT_EQ(hak_posix_memalign(&out, alignment, size), 0);
        blocks.push_back(out);
        blocks.push_back(hak_memalign(alignment, size));
      }
      EXPECT_EQ(errno, 4711);
      for (void* p : blocks) {
        if (p == nullptr) continue;
        ASSERT_TRUE(IsAligned(p, alignment)) << alignment << " " << size;
        ASSERT_GE(hak_usable_size(p), size) << alignment << " " << size;
        memset(p, 0x5a, size);
        hak_free_aligned_sized(p, alignment, size);
      }
    }
  }
}

TEST(Aligned, WhatIsNoAlignment) {
  for (size_t alignment : {size_t{0}, size_t{3}, size_t{24}, size_t{SIZE_MAX}}) {
    errno = 0;
    EXPECT_EQ(hak_aligned_alloc(alignment, 8), nullptr) << alignment;
    EXPECT_EQ(errno, EINVAL);
  }
  for (size_t alignment : {size_t{0}, size_t{1}, size_t{2}, size_t{4}, size_t{12}, size_t{24}, size_t{100}}) {
    void* out = &out;
    errno = 77;
    EXPECT_EQ(hak_posix_memalign(&out, alignment, 8), EINVAL) << alignment;
    EXPECT_EQ(errno, 77);
    EXPECT_EQ(out, &out);
  }
  // glibc rounds up.
  void* p = hak_memalign(24, 8);
  EXPECT_TRUE(IsAligned(p, 32));
  hak_free(p);
  p = hak_memalign(0, 8);
  EXPECT_NE(p, nullptr);
  hak_free(p);
  errno = 0;
  EXPECT_EQ(hak_memalign(size_t{SIZE_MAX}, 8), nullptr);
  EXPECT_EQ(errno, EINVAL);
  errno = 0;
  EXPECT_EQ(hak_aligned_alloc(size_t{1} << 63, 8), nullptr);
  EXPECT_EQ(errno, ENOMEM);
}

TEST(Aligned, Pages) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (size_t size : {size_t{0}, size_t{1}, page, page + 1, 5 * page}) {
    void* v = hak_valloc(size);
    EXPECT_TRUE(IsAligned(v, page)) << size;
    hak_free(v);
    void* p = hak_pvalloc(size);
    EXPECT_TRUE(IsAligned(p, page)) << size;
    EXPECT_GE(hak_usable_size(p), (size + page - 1) / page * page);
    EXPECT_GE(hak_usable_size(p), page);
    hak_free(p);
  }
}

TEST(Owns, NothingElse) {
  int on_stack = 0;
  static int in_data = 0;
  EXPECT_FALSE(hak_owns(&on_stack));
  EXPECT_FALSE(hak_owns(&in_data));
  EXPECT_FALSE(hak_owns(nullptr));
  EXPECT_FALSE(hak_owns(reinterpret_cast<void*>(uintptr_t{8})));
  EXPECT_FALSE(hak_owns(reinterpret_cast<void*>(uintptr_t{0x8000000000000000})));
  EXPECT_FALSE(hak_owns(reinterpret_cast<void*>(~uintptr_t{0})));
  for (uintptr_t address = 0; address < uintptr_t{1} << 47; address += uintptr_t{1} << 36) {
    // The window's place is random, and its first superslab may begin at one of these.
    if (hak_owns(reinterpret_cast<void*>(address))) continue;
    EXPECT_EQ(hak_usable_size(reinterpret_cast<void*>(address)), 0u);
  }
}

TEST(UsableSize, OfWhatIsNotHakmems) {
  int on_stack = 0;
  static int in_data = 0;
  EXPECT_EQ(hak_usable_size(nullptr), 0u);
  EXPECT_EQ(hak_usable_size(&on_stack), 0u);
  EXPECT_EQ(hak_usable_size(&in_data), 0u);
  EXPECT_EQ(hak_usable_size(reinterpret_cast<void*>(uintptr_t{8})), 0u);
  EXPECT_EQ(hak_usable_size(reinterpret_cast<void*>(uintptr_t{0x8000000000000000})), 0u);
  char* huge = static_cast<char*>(hak_malloc(size_t{5} << 20));
  EXPECT_EQ(hak_usable_size(huge + 4096), 0u);
  hak_free(huge);
  EXPECT_EQ(hak_usable_size(huge), 0u);
}

TEST(Version, SaysWhatItIs) {
  EXPECT_EQ(strncmp(hak_version(), "hakmem ", 7), 0);
#if defined(HAKMEM_BUILD_RELEASE)
  EXPECT_NE(strstr(hak_version(), "(release)"), nullptr);
#elif defined(HAKMEM_BUILD_GUARD)
  EXPECT_NE(strstr(hak_version(), "(guard)"), nullptr);
#else
  EXPECT_NE(strstr(hak_version(), "(debug)"), nullptr);
#endif
}

}  // namespace
