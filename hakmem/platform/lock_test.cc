#include "hakmem/platform/lock.h"

#include "gtest/gtest.h"
#include "hakmem/platform/build.h"
#include "testing/support/threads.h"

namespace hakmem {
namespace {

Lock low{LockRank::kHeapPool};
Lock high{LockRank::kMetadata};

TEST(LockTest, OneHolderAtATime) {
  Lock lock(LockRank::kArena);
  uint64_t plain = 0;
  constexpr uint64_t kRounds = 20000;
  test::RunTogether(3, [&](unsigned) {
    for (uint64_t i = 0; i < kRounds; ++i) {
      LockHolder hold(lock);
      ++plain;
    }
  });
  EXPECT_EQ(plain, 3 * kRounds);
  EXPECT_EQ(lock.acquired(), 3 * kRounds);
}

TEST(LockTest, TryAcquireFailsWhileHeld) HAK_NO_THREAD_SAFETY_ANALYSIS {
  Lock lock(LockRank::kArena);
  lock.Acquire();
  test::RunInThread([&]() HAK_NO_THREAD_SAFETY_ANALYSIS { EXPECT_FALSE(lock.TryAcquire()); });
  lock.Release();
  ASSERT_TRUE(lock.TryAcquire());
  lock.Release();
}

TEST(LockTest, RisingRanksAreFine) {
  LockHolder first(low);
  LockHolder second(high);
}

#if !defined(HAKMEM_BUILD_RELEASE)
using LockDeathTest = testing::Test;

TEST(LockDeathTest, FallingRanksTrap) HAK_NO_THREAD_SAFETY_ANALYSIS {
  EXPECT_DEATH(
      {
        high.Acquire();
        low.Acquire();
      },
      "");
}

TEST(LockDeathTest, EqualRanksTrap) HAK_NO_THREAD_SAFETY_ANALYSIS {
  Lock twin(LockRank::kMetadata);
  EXPECT_DEATH(
      {
        high.Acquire();
        twin.Acquire();
      },
      "");
}

TEST(LockDeathTest, MappingUnderALockTraps) HAK_NO_THREAD_SAFETY_ANALYSIS {
  AssertNoLockHeld();
  EXPECT_DEATH(
      {
        low.Acquire();
        AssertNoLockHeld();
      },
      "");
}
#endif

}  // namespace
}  // namespace hakmem
