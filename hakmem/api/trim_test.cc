// malloc_trim, under the hak_ name: what it gives back besides what the program has freed.

#include <stdint.h>
#include <string.h>

#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
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
    const char* base = address_map::SlabOf(blocks.back())->superslab().base;
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

}  // namespace
}  // namespace hakmem
