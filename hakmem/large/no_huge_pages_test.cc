// Where the system gives no huge pages, nothing is done for their sake.

#include <sys/prctl.h>

#include <cstring>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/large/huge.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/os.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::huge {
namespace {

TEST(NoHugePagesTest, AShortBlockThatGrowsIsNotCopied) {
  ASSERT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
  ASSERT_FALSE(os::HugePagesReturn());
  ASSERT_EQ(g_options.huge_pages, 1u);
  gate::OpenWindow(true);
  auto* const p = static_cast<char*>(Allocate(kSuperslabSize / 2, kSuperslabSize, false));
  ASSERT_NE(p, nullptr);
  memset(p, 7, kSuperslabSize / 2);
  ASSERT_FALSE(arena::IsHuge(p));
  EXPECT_EQ(Resize(p, address_map::RegionOf(p), kSuperslabSize), p);
  Free(p, address_map::RegionOf(p));
}

}  // namespace
}  // namespace hakmem::huge
