// HAKMEM_MEMORY_LIMIT as a program sees it: memory that it has freed is there for blocks of any size.

#include <stdint.h>
#include <string.h>

#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/platform/build.h"

namespace hakmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class MemoryLimit : public testing::Test {
 protected:
  MemoryLimit() {
    hak_free(hak_malloc(1));
    g_options.memory_limit = 64 * kMiB;
    g_options.idle_keep = 64 * kMiB;  // nothing goes back as soon as it is freed
  }
  ~MemoryLimit() override { g_options = before_; }

  // All that the limit allows in blocks of a slab or two, and all of it freed.
  static void FillAndFree(size_t least) {
    std::vector<void*> blocks;
    while (void* p = hak_malloc(100'000)) blocks.push_back(memset(p, 1, 100'000));
    EXPECT_GE(blocks.size(), least);
    for (void* p : blocks) hak_free(p);
    if constexpr (kGuardBuild) hak_trim(0);  // there freed blocks wait
  }

 private:
  const Options before_ = g_options;
};

TEST_F(MemoryLimit, AHugeBlockGetsWhatSuperslabsHaveLeftIdle) {
  FillAndFree(500);
  void* const p = hak_malloc(60 * kMiB);
  EXPECT_NE(p, nullptr);
  EXPECT_LE(gate::GetAccount().mapped, 64 * kMiB);
  hak_free(p);
}

// Beside itself the longer block would find no room, whatever is given back.
TEST_F(MemoryLimit, AHugeBlockGrowsOverWhatSuperslabsHaveLeftIdle) {
  char* const p = static_cast<char*>(hak_malloc(30 * kMiB));
  ASSERT_NE(p, nullptr);
  p[30 * kMiB - 1] = 7;
  FillAndFree(200);
  char* const longer = static_cast<char*>(hak_realloc(p, 56 * kMiB));
  ASSERT_NE(longer, nullptr);
  EXPECT_EQ(longer[30 * kMiB - 1], 7);
  EXPECT_LE(gate::GetAccount().mapped, 64 * kMiB);
  hak_free(longer);
}

}  // namespace
}  // namespace hakmem
