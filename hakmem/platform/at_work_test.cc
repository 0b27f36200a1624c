#include "hakmem/platform/at_work.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "testing/support/threads.h"

namespace hakmem {
namespace {

TEST(AtWorkTest, OnlyWhoIsAtWorkIs) {
  EXPECT_FALSE(AtWork::IsCaller());
  {
    const AtWork outer;
    EXPECT_TRUE(AtWork::IsCaller());
    {
      const AtWork inner;
      EXPECT_TRUE(AtWork::IsCaller());
    }
    EXPECT_TRUE(AtWork::IsCaller()) << "the outer one";
    test::RunInThread([] { EXPECT_FALSE(AtWork::IsCaller()); });
  }
  EXPECT_FALSE(AtWork::IsCaller());
}

// More threads than there is room for: none of them is taken for another one.
TEST(AtWorkTest, ManyThreads) {
  constexpr int kThreads = 100;
  std::mutex mutex;
  std::condition_variable changed;
  int here = 0;
  bool done = false;
  int known = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const AtWork at_work;
      std::unique_lock lock(mutex);
      known += AtWork::IsCaller() ? 1 : 0;
      if (++here == kThreads) changed.notify_all();
      changed.wait(lock, [&] { return done; });
    });
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return here == kThreads; });
    EXPECT_FALSE(AtWork::IsCaller());
    done = true;
    changed.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(known, 64);
  const AtWork at_work;
  EXPECT_TRUE(AtWork::IsCaller()) << "there is room again";
}

// As in a forked child: room that threads which are gone have had is there again.
TEST(AtWorkTest, OthersCanBeForgotten) {
  std::optional<AtWork> theirs[64];
  std::mutex mutex;
  std::condition_variable changed;
  int step = 0;
  std::thread other([&] {
    for (auto& each : theirs) each.emplace();
    std::unique_lock lock(mutex);
    step = 1;
    changed.notify_all();
    changed.wait(lock, [&] { return step == 2; });
    EXPECT_FALSE(AtWork::IsCaller()) << "forgotten";
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return step == 1; });
  {
    const AtWork at_work;
    EXPECT_FALSE(AtWork::IsCaller()) << "no room";
  }
  AtWork::ForgetOthers();
  const AtWork at_work;
  EXPECT_TRUE(AtWork::IsCaller());
  step = 2;
  changed.notify_all();
  lock.unlock();
  other.join();
}

}  // namespace
}  // namespace hakmem
