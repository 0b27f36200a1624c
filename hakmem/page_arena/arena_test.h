// What tests of the page arena have in common.
#ifndef HAKMEM_PAGE_ARENA_ARENA_TEST_H_
#define HAKMEM_PAGE_ARENA_ARENA_TEST_H_

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/page_arena.h"

namespace hakmem::arena {

inline constexpr size_t kPiece = kSuperslabSize;

// Each test begins with an arena that has nothing.
class ArenaTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    gate::OpenWindow(true);
    ASSERT_TRUE(HasWindow());
  }
  void SetUp() override {
    UnmapIdle();
    ASSERT_EQ(GetUsage().taken, 0u);
    ASSERT_EQ(GetUsage().idle, 0u);
  }
};

}  // namespace hakmem::arena

#endif  // HAKMEM_PAGE_ARENA_ARENA_TEST_H_
