// Builds that are no guard builds add nothing to a block.
#include <gtest/gtest.h>
#include <hakmem/hakmem.h>

#include "hakmem/guard/guard.h"

namespace hakmem {
namespace {

TEST(NoGuard, BlocksAreNotPadded) {
  ASSERT_FALSE(kGuardBuild);
  static_assert(guard::Padded(112) == 112);
  // The whole block is the program's. (1,280 is a size of a class, and of a list.)
  void* p = hak_malloc(1280);
  EXPECT_EQ(hak_usable_size(p), 1280u);
  hak_free(p);
}

TEST(NoGuard, FreedBlocksDoNotWait) {
  void* p = hak_malloc(112);
  hak_free(p);
  bool again = false;
  void* others[1000];
  for (void*& other : others) {
    other = hak_malloc(112);
    again = again || other == p;
  }
  EXPECT_TRUE(again);
  for (void* other : others) hak_free(other);
}

}  // namespace
}  // namespace hakmem
