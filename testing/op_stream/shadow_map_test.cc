#include "testing/op_stream/shadow_map.h"

#include <gtest/gtest.h>

namespace hakmem::op_stream {
namespace {

const char* At(uintptr_t address) { return reinterpret_cast<const char*>(address); }

TEST(ShadowMap, RefusesOverlapOnEitherSideAndInside) {
  ShadowMap map;
  ASSERT_TRUE(map.Enter(At(0x7000'1000), 256));
  EXPECT_FALSE(map.Enter(At(0x7000'1000), 256));
  EXPECT_FALSE(map.Enter(At(0x7000'10f8), 8));
  EXPECT_FALSE(map.Enter(At(0x7000'0f00), 0x108));
  EXPECT_FALSE(map.Enter(At(0x7000'0000), 0x10000));
  // What was refused has left nothing behind.
  EXPECT_TRUE(map.Enter(At(0x7000'0f00), 0x100));
  EXPECT_TRUE(map.Enter(At(0x7000'1100), 0x100));
}

TEST(ShadowMap, RemovedMemoryCanBeEnteredAgain) {
  ShadowMap map;
  ASSERT_TRUE(map.Enter(At(0x1000), 4096));
  EXPECT_TRUE(map.Remove(At(0x1000), 4096));
  EXPECT_FALSE(map.Remove(At(0x1000), 4096));
  EXPECT_TRUE(map.Enter(At(0x1800), 16));
  EXPECT_FALSE(map.Enter(At(0x1000), 4096));
}

TEST(ShadowMap, BlocksOfManyRegions) {
  ShadowMap map;
  const size_t size = size_t{64} << 20;
  ASSERT_TRUE(map.Enter(At(0x7fff'0000'0008), size));
  EXPECT_FALSE(map.Enter(At(0x7fff'0000'0000 + size), 16));
  EXPECT_TRUE(map.Enter(At(0x7fff'0000'0008 + size), 16));
  EXPECT_TRUE(map.Remove(At(0x7fff'0000'0008), size));
}

TEST(ShadowMap, BlocksWithoutBytesHaveAnAddressOfTheirOwn) {
  ShadowMap map;
  ASSERT_TRUE(map.Enter(At(0x1000), 0));
  EXPECT_FALSE(map.Enter(At(0x1000), 0));
  EXPECT_TRUE(map.Enter(At(0x1008), 0));
}

TEST(ShadowMap, RefusesWhatIsNoAddress) {
  ShadowMap map;
  EXPECT_FALSE(map.Enter(At(UINTPTR_MAX - 15), 8));
  EXPECT_FALSE(map.Enter(At(0x1000), SIZE_MAX));
}

}  // namespace
}  // namespace hakmem::op_stream
