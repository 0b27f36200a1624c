// From any address to what stands there, without reading behind it.

#include "hakmem/superslab/address_map.h"

#include <hakmem/hakmem.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

const void* At(uintptr_t address) { return reinterpret_cast<const void*>(address); }

TEST(AddressMap, HostilePointersBelongToNobody) {
  void* block = hak_malloc(100);  // opens the window
  const uintptr_t base = g_window_base;
  for (const uintptr_t address :
       {uintptr_t{0}, uintptr_t{1}, uintptr_t{4096}, ~uintptr_t{0}, ~uintptr_t{15}, uintptr_t{1} << 47,
        uintptr_t{1} << 48, uintptr_t{1} << 63, uintptr_t{0xffff'8000'0000'0000}, uintptr_t{0x8001'0000'0000'0000},
        base, base + 1, base - 1, base + kWindowSize, base + kWindowSize - 1, reinterpret_cast<uintptr_t>(&base)}) {
    EXPECT_EQ(address_map::RegionOf(At(address)), nullptr) << std::hex << address;
    EXPECT_EQ(address_map::SlabOf(At(address)), nullptr) << std::hex << address;
  }
  hak_free(block);
}

TEST(AddressMap, NothingIsReadBehindAPointer) {
  void* dead = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(dead, MAP_FAILED);
  EXPECT_EQ(address_map::RegionOf(dead), nullptr);
  EXPECT_FALSE(hak_owns(dead));
  EXPECT_EQ(hak_usable_size(dead), 0u);
  munmap(dead, 4096);
}

TEST(AddressMap, EveryByteOfABlockLeadsToItsSlab) {
  for (const size_t size : {size_t{1}, size_t{100}, size_t{5000}, size_t{200'000}, size_t{1'000'000}}) {
    char* block = static_cast<char*>(hak_malloc(size));
    ASSERT_NE(block, nullptr);
    Slab* slab = address_map::SlabOf(block);
    ASSERT_NE(slab, nullptr) << size;
    EXPECT_TRUE(slab->Contains(block));
    EXPECT_EQ(address_map::SlabOf(block + size - 1), slab) << size;
    EXPECT_GE(slab->block_size(), size);
    hak_free(block);
  }
}

TEST(AddressMap, RegionsAreEnteredAndRemovedInsideAndOutsideTheWindow) {
  hak_free(hak_malloc(1));
  // Some machines have addresses of 48 bits.
  for (const uintptr_t at : {g_window_base + kWindowSize - 4 * kSuperslabSize, uintptr_t{0x5000'0000'0000},
                             uintptr_t{0xffff'0000'0000}, (uintptr_t{1} << 48) - 2 * kSuperslabSize}) {
    Region region;
    region.SetBase(reinterpret_cast<char*>(at));
    ASSERT_TRUE(address_map::Enter(&region, 2));
    EXPECT_EQ(address_map::RegionOf(At(at)), &region);
    EXPECT_EQ(address_map::RegionOf(At(at + 2 * kSuperslabSize - 1)), &region);
    EXPECT_EQ(address_map::RegionOf(At(at + 2 * kSuperslabSize)), nullptr);
    EXPECT_EQ(address_map::RegionOf(At(at - 1)), nullptr);
    address_map::Remove(region.base(), 2);
    EXPECT_EQ(address_map::RegionOf(At(at)), nullptr);
    EXPECT_EQ(address_map::RegionOf(At(at + kSuperslabSize)), nullptr);
  }
}

}  // namespace
}  // namespace hakmem
