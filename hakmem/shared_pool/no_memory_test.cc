// Metadata that was taken before memory ran out serves the next attempt.

#include <errno.h>

#include "gtest/gtest.h"
#include "hakmem/shared_pool/pool_test.h"
#include "testing/support/faults.h"

namespace hakmem::pool {
namespace {

const unsigned kClass = ClassOfSize(512);

using NoMemoryTest = PoolTest;

TEST_F(NoMemoryTest, FailedAttemptsUseUpNothing) {
  // Of a new chunk of 256 KiB a rest that two superslabs fit in, but not one with all that belongs to it.
  const uint64_t before = gate::GetAccount().metadata;
  while (gate::GetAccount().metadata == before) ASSERT_NE(gate::AllocateMetadata(1024, 64), nullptr);
  ASSERT_NE(gate::AllocateMetadata(size_t{243} << 10, 64), nullptr);
  static_assert(2 * sizeof(Superslab) < (11 << 10) && kLiveWords * 8 >= (16 << 10));
  // Mapped, so that metadata is all that the next superslab needs.
  arena::Release(arena::Acquire(1, kSuperslabSize), 1);
  {
    test::FailingCalls failing(os::Call::kMap, ENOMEM);
    const char* place[2];
    for (const char*& each : place) {
      for (int i = 0; i < 100; ++i) {
        Cache cache;
        EXPECT_FALSE(Acquire(cache, kWho, kClass).has_value());
      }
      each = static_cast<const char*>(gate::AllocateMetadata(64, 64));
      ASSERT_NE(each, nullptr);
    }
    EXPECT_LE(place[1] - place[0], 256) << "the first attempt has taken a superslab's, and no other has taken anything";
    EXPECT_GE(failing.seen(), 200u);
  }
  EXPECT_EQ(GetStatistics().superslabs, 0u);
  Cache cache;
  Slab& slab = Take(cache, kClass);
  int superslabs = 0;
  ForEachSuperslab([](Superslab&, void* count) { ++*static_cast<int*>(count); }, &superslabs);
  EXPECT_EQ(superslabs, 1) << "entered once";
  Give(cache, slab);
}

}  // namespace
}  // namespace hakmem::pool
