// Builds that are no guard builds add nothing to a block.
#include <gtest/gtest.h>
#include <hakmem/hakmem.h>

#include "hakmem/guard/guard.h"

namespace hakmem {
namespace {

TEST(NoGuard, BlocksAreNotPadded) {
  ASSERT_FALSE(kGuardBuild);
  static_assert(guard::Padded(112) == 112);
  // The whole block is the program's.
  void* p = hak_malloc(112);
  EXPECT_EQ(hak_usable_size(p), 112u);
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
