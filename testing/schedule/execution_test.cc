// The scheduler itself, on small programs of which it is known what they may do (litmus tests).

#include "testing/schedule/execution.h"

#include <string>

#include "gtest/gtest.h"
#include "testing/schedule/atomic.h"
#include "testing/schedule/explore.h"

namespace hakmem::schedule {
namespace {

// Two atomics and a plain number; what the threads saw decides.
struct Small : Scenario {
  std::vector<std::function<void()>> Threads() override { return threads; }
  std::string Check() override { return check ? check() : ""; }

  Atomic<int> x{0};
  Atomic<int> y{0};
  Plain<int> data{0, "the data"};
  Mutex first;
  Mutex second;
  int a = -1;
  int b = -1;
  std::vector<std::function<void()>> threads;
  std::function<std::string()> check;
};

using SetUp = std::function<void(Small&)>;

Exploration Search(const SetUp& set_up, Limits limits = {}) {
  return Explore(
      [&] {
        auto scenario = std::make_unique<Small>();
        set_up(*scenario);
        return scenario;
      },
      limits);
}

// Each thread writes one atomic and reads the other.
SetUp StoreBuffering(std::memory_order store, std::memory_order load) {
  return [=](Small& s) {
    s.threads = {[&s, store, load] {
                   s.x.store(1, store);
                   s.a = s.y.load(load);
                 },
                 [&s, store, load] {
                   s.y.store(1, store);
                   s.b = s.x.load(load);
                 }};
    s.check = [&s] { return s.a == 0 && s.b == 0 ? "both missed" : ""; };
  };
}

TEST(Execution, StoreBufferingIsSeenUnlessSequentiallyConsistent) {
  EXPECT_TRUE(Search(StoreBuffering(std::memory_order_release, std::memory_order_acquire)).failed);
  EXPECT_TRUE(Search(StoreBuffering(std::memory_order_seq_cst, std::memory_order_acquire)).failed);
  EXPECT_TRUE(Search(StoreBuffering(std::memory_order_release, std::memory_order_seq_cst)).failed);
  const Exploration both = Search(StoreBuffering(std::memory_order_seq_cst, std::memory_order_seq_cst));
  EXPECT_FALSE(both.failed) << Describe(both);
  EXPECT_TRUE(both.complete);
}

// One thread writes data and raises a flag, the other reads both.
SetUp MessagePassing(std::memory_order store, std::memory_order load) {
  return [=](Small& s) {
    s.threads = {[&s, store] {
                   s.data = 1;
                   s.x.store(1, store);
                 },
                 [&s, load] {
                   if (s.x.load(load) == 1) s.a = s.data;
                 }};
  };
}

TEST(Execution, DataBehindAFlagNeedReleaseAndAcquire) {
  EXPECT_FALSE(Search(MessagePassing(std::memory_order_release, std::memory_order_acquire)).failed);
  const Exploration no_release = Search(MessagePassing(std::memory_order_relaxed, std::memory_order_acquire));
  EXPECT_TRUE(no_release.failed);
  EXPECT_NE(no_release.failure.find("data race"), std::string::npos) << no_release.failure;
  EXPECT_TRUE(Search(MessagePassing(std::memory_order_release, std::memory_order_relaxed)).failed);
}

TEST(Execution, WriteAfterTheReleaseIsARace) {
  EXPECT_TRUE(Search([](Small& s) {
                s.threads = {[&s] {
                               s.x.store(1, std::memory_order_release);
                               s.data = 1;
                             },
                             [&s] {
                               if (s.x.load(std::memory_order_acquire) == 1) s.a = s.data;
                             }};
              }).failed);
}

// A second thread changes the flag in between.
SetUp PassedOn(bool by_store) {
  return [=](Small& s) {
    s.threads = {[&s] {
                   s.data = 1;
                   s.x.store(1, std::memory_order_release);
                 },
                 [&s, by_store] {
                   if (!by_store) {
                     s.x.fetch_add(1, std::memory_order_relaxed);
                   } else if (s.x.load(std::memory_order_relaxed) == 1) {
                     s.x.store(2, std::memory_order_relaxed);
                   }
                 },
                 [&s] {
                   if (s.x.load(std::memory_order_acquire) == 2) s.a = s.data;
                 }};
  };
}

TEST(Execution, OnlyReadModifyWritesContinueAReleaseSequence) {
  EXPECT_FALSE(Search(PassedOn(false)).failed);
  EXPECT_TRUE(Search(PassedOn(true)).failed);
}

TEST(Execution, ReadModifyWritesAreNotLost) {
  auto adds = [](Small& s, std::function<void()> body) {
    s.threads = {body, body, body};
    s.check = [&s] { return s.x.load(std::memory_order_relaxed) == 3 ? "" : "an addition is lost"; };
  };
  EXPECT_FALSE(Search([&](Small& s) { adds(s, [&s] { s.x.fetch_add(1, std::memory_order_relaxed); }); }).failed);
  EXPECT_TRUE(Search([&](Small& s) {
                adds(s, [&s] { s.x.store(s.x.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); });
              }).failed);
}

TEST(Execution, AThreadDoesNotReadBackwards) {
  EXPECT_FALSE(Search([](Small& s) {
                 s.threads = {[&s] {
                                s.x.store(1, std::memory_order_relaxed);
                                s.x.store(2, std::memory_order_relaxed);
                              },
                              [&s] {
                                s.a = s.x.load(std::memory_order_relaxed);
                                s.b = s.x.load(std::memory_order_relaxed);
                              }};
                 s.check = [&s] { return s.b < s.a ? "an older value after a newer one" : ""; };
               }).failed);
}

TEST(Execution, LocksInTurnsWaitForEachOther) {
  const Exploration found = Search([](Small& s) {
    s.threads = {[&s] {
                   s.first.Acquire();
                   s.second.Acquire();
                   s.second.Release();
                   s.first.Release();
                 },
                 [&s] {
                   s.second.Acquire();
                   s.first.Acquire();
                   s.first.Release();
                   s.second.Release();
                 }};
  });
  EXPECT_TRUE(found.failed);
  EXPECT_NE(found.failure.find("wait for each other"), std::string::npos) << found.failure;
}

TEST(Execution, LockOrdersWhatItGuards) {
  EXPECT_FALSE(Search([](Small& s) {
                 auto body = [&s] {
                   s.first.Acquire();
                   s.data = s.data + 1;
                   s.first.Release();
                 };
                 s.threads = {body, body};
                 s.check = [&s] { return s.data == 2 ? "" : "an addition is lost"; };
               }).failed);
}

TEST(Execution, PreemptionBoundLimitsTheSearch) {
  auto count = [](int preemptions) {
    return Search(StoreBuffering(std::memory_order_seq_cst, std::memory_order_seq_cst), {preemptions, 0, 100})
        .executions;
  };
  // Without preemption: one thread after the other, in both orders. Without bound: all 6 ways to merge two pairs of
  // steps, some of them twice, because a thread's first choice comes before its first step.
  EXPECT_EQ(count(0), 2u);
  EXPECT_GE(count(4), 6u);
}

TEST(Execution, EndlessLoopIsFound) {
  const Exploration found = Search([](Small& s) {
    s.threads = {[&s] {
      while (s.x.load(std::memory_order_relaxed) == 0) {
      }
    }};
  });
  EXPECT_TRUE(found.failed);
  EXPECT_NE(found.failure.find("do not come to an end"), std::string::npos) << found.failure;
}

}  // namespace
}  // namespace hakmem::schedule
