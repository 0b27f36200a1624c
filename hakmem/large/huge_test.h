// What tests of huge blocks have in common.
#ifndef HAKMEM_LARGE_HUGE_TEST_H_
#define HAKMEM_LARGE_HUGE_TEST_H_

#include <new>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/large/huge.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/fill_record.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::huge {

inline constexpr size_t kPiece = kSuperslabSize;

class HugeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    gate::OpenWindow(true);
    arena::SetKeeper(ReleaseKept);
  }
  void SetUp() override {
    arena::UnmapIdle();  // runs then come lowest first, next to each other
    new (&arena::g_fill) arena::FillRecord;
    before_ = GetStatistics();
    options_ = g_options;
  }
  void TearDown() override {
    g_options = options_;
    ReleaseKept();
    EXPECT_EQ(GetStatistics().blocks, before_.blocks);
    EXPECT_EQ(GetStatistics().bytes, before_.bytes);
    EXPECT_EQ(arena::GetUsage().taken, 0u);
  }
  static char* Take(size_t size, size_t alignment = kPiece, bool zero = false) {
    return static_cast<char*>(Allocate(size, alignment, zero));
  }
  static void Give(void* p) { Free(p, address_map::RegionOf(p)); }
  static char* Change(void* p, size_t size) { return static_cast<char*>(Resize(p, address_map::RegionOf(p), size)); }
  Statistics before_ = {};
  Options options_;
};

}  // namespace hakmem::huge

#endif  // HAKMEM_LARGE_HUGE_TEST_H_
