// malloc_trim, under the hak_ name: what it gives back besides what the program has freed.

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/os.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem {
namespace {

// A huge page comes as a whole, whatever of it is in use.
TEST(Trim, GivesBackWhatAHugePageHasBroughtUnasked) {
  constexpr size_t kBlock = 2000;
  std::vector<char*> blocks;
  const auto unused_slots = [&] {
    const Slab* slab = address_map::SlabOf(blocks.back());
    return slab == nullptr ? 0 : slab->superslab().unused.load();
  };
  const auto resident = [&](uint32_t slots) {
    size_t bytes = 0;
    const char* base = address_map::SlabOf(blocks.back())->superslab().base();
    for (unsigned i = 0; i < kSlabsPerSuperslab; ++i) {
      if (((slots >> i) & 1) != 0) bytes += os::ResidentBytes(base + i * kSlabSize, kSlabSize);
    }
    return bytes;
  };
  // Until a superslab has been begun, beyond the first few, whose pages are small.
  while (blocks.size() * kBlock < 20 * kSuperslabSize || __builtin_popcount(unused_slots()) < 8) {
    blocks.push_back(static_cast<char*>(hak_malloc(kBlock)));
    ASSERT_NE(blocks.back(), nullptr);
    memset(blocks.back(), 1, kBlock);
    ASSERT_LT(blocks.size() * kBlock, 40 * kSuperslabSize);
  }
  const uint32_t unused = unused_slots();
  const size_t all = static_cast<size_t>(__builtin_popcount(unused)) * kSlabSize;
  EXPECT_EQ(resident(unused), resident(unused) == 0 ? 0 : all) << "no huge page, or a whole one";
  hak_trim(0);
  EXPECT_EQ(resident(unused), 0u);
  EXPECT_EQ(blocks.back()[kBlock - 1], 1);
  for (char* block : blocks) hak_free(block);
}

TEST(Trim, KeepsAsMuchIdleMemoryAsItIsTold) {
  const Options options = g_options;
  g_options.purge_delay_ms = 3600000;
  g_options.idle_keep = INT64_MAX;
  for (const size_t size : {size_t{4000}, size_t{3} << 20}) {
    std::vector<void*> burst((size_t{60} << 20) / size);
    for (void*& block : burst) {
      block = hak_malloc(size);
      ASSERT_NE(block, nullptr);
      memset(block, 1, size);
    }
    for (void* block : burst) hak_free(block);
    hak_trim(SIZE_MAX);  // what waits in lists comes to be idle
    const size_t all = g_idle.idle();
    ASSERT_GT(all, size_t{40} << 20) << size;
    EXPECT_EQ(hak_trim(all), 0) << size;
    EXPECT_EQ(g_idle.idle(), all) << size;
    for (const size_t keep : {all - 1, all / 2, all / 4, size_t{1}}) {
      EXPECT_EQ(hak_trim(keep), 1) << size;
      EXPECT_LE(g_idle.idle(), keep) << size;
      EXPECT_GE(g_idle.idle() + kSuperslabSize, keep) << size;
    }
    hak_trim(0);
    EXPECT_EQ(g_idle.idle(), 0u) << size;
  }
  g_options = options;
}

// A program that is at work, but finds all it needs in its lists: what a burst left idle, as such bursts were refaulted
// before, goes when that is paid off.
TEST(Balance, IsKeptByAProgramThatOnlyUsesItsLists) {
  const Options options = g_options;
  g_options.purge_delay_ms = 3600000;
  g_options.idle_keep = INT64_MAX;   // however long the burst takes: a debt alone would be paid off within 128 ms
  std::vector<void*> burst(20'000);  // of which a guard build lets 32 MiB wait
  for (void*& block : burst) block = hak_malloc(4000);
  void* const stays = hak_malloc(100);
  for (void* block : burst) hak_free(block);
  const size_t before = g_idle.idle();
  g_idle.AddRefault(8 << 20);
  g_options.idle_keep = size_t{1} << 20;
  ASSERT_GT(before, size_t{16} << 20);
  for (int i = 0; i < 3000 && g_idle.idle() >= before / 2; ++i) {
    for (int pair = 0; pair < 100; ++pair) hak_free(hak_malloc(64));
    usleep(1000);
  }
  EXPECT_LT(g_idle.idle(), before / 2);
  hak_free(stays);
  g_options = options;
}

}  // namespace
}  // namespace hakmem
