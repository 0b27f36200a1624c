#include "hakmem/platform/lock.h"

#include "gtest/gtest.h"
#include "hakmem/platform/build.h"
#include "hakmem/platform/os.h"
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

// A signal handler forks while its thread holds the lock, and another one interrupts that handler.
TEST(LockTest, AForkLeavesALockAloneThatItsThreadHolds) HAK_NO_THREAD_SAFETY_ANALYSIS {
  Lock lock(LockRank::kArena);
  EXPECT_TRUE(lock.AcquireForFork(0));
  EXPECT_TRUE(lock.IsWhole());
  lock.ReleaseInParent();
  EXPECT_FALSE(lock.IsHeldByCaller());
  lock.Acquire();
  for (int forks = 1; forks <= 2; ++forks) {
    EXPECT_TRUE(lock.AcquireForFork(0));
    EXPECT_TRUE(lock.IsHeldByCaller());
    EXPECT_FALSE(lock.IsWhole());
  }
  lock.ReleaseInParent();
  lock.ReleaseInChild();
  EXPECT_TRUE(lock.IsHeldByCaller()) << "the interrupted code holds it still";
  lock.Release();
  EXPECT_FALSE(lock.IsHeldByCaller());
  ASSERT_TRUE(lock.TryAcquire());
  lock.Release();
}

TEST(LockTest, AForkWithinAForkLeavesTheLocksOfTheOuterOne) HAK_NO_THREAD_SAFETY_ANALYSIS {
  Lock lock(LockRank::kArena);
  EXPECT_TRUE(lock.AcquireForFork(0));
  EXPECT_TRUE(lock.AcquireForFork(0));
  EXPECT_FALSE(lock.IsWhole());
  lock.ReleaseInParent();
  EXPECT_TRUE(lock.IsWhole());
  test::RunInThread([&]() HAK_NO_THREAD_SAFETY_ANALYSIS { EXPECT_FALSE(lock.TryAcquire()); });
  lock.ReleaseInParent();
  ASSERT_TRUE(lock.TryAcquire());
  lock.Release();
}

TEST(LockTest, AForkThatHoldsALockDoesNotWaitForOthersForEver) HAK_NO_THREAD_SAFETY_ANALYSIS {
  Lock lock(LockRank::kArena);
  lock.Acquire();
  test::RunInThread([&]() HAK_NO_THREAD_SAFETY_ANALYSIS {
    EXPECT_FALSE(lock.AcquireForFork(os::NowMs() + 30));
    EXPECT_FALSE(lock.IsWhole());
    lock.ReleaseInParent();
  });
  EXPECT_TRUE(lock.IsHeldByCaller()) << "nobody else's to release";
  lock.Release();
  EXPECT_FALSE(lock.IsHeldByCaller());
  // Whoever held it is gone in the child.
  test::RunInThread([&]() HAK_NO_THREAD_SAFETY_ANALYSIS { lock.Acquire(); });
  EXPECT_FALSE(lock.AcquireForFork(os::NowMs() + 1));
  lock.ReleaseInChild();
  ASSERT_TRUE(lock.TryAcquire());
  lock.Release();
}

// What was given up is not waited for again before the lock that is held has changed hands.
TEST(LockTest, GivenUpIsInOneAcquisition) HAK_NO_THREAD_SAFETY_ANALYSIS {
  Lock lock(LockRank::kArena);
  for (int i = 0; i < 2; ++i) {
    lock.Acquire();
    EXPECT_FALSE(lock.HasGivenUp());
    lock.NoteGivenUp();
    EXPECT_TRUE(lock.HasGivenUp());
    lock.Release();
  }
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
