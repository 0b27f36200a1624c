// After threads took, gave and purged slots at the same time: the idle bytes are those of the idle slots, and each slot
// that is free can be found.

#include <atomic>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/platform/os.h"
#include "hakmem/shared_pool/pool_test.h"
#include "testing/support/threads.h"

namespace hakmem::pool {
namespace {

class AccountTest : public PoolTest {
 protected:
  // What the slots say, when nobody is at work.
  static uint64_t IdleBySlots() {
    uint64_t bytes = 0;
    ForEachSuperslab(
        [](Superslab& superslab, void* sum) {
          if (superslab.kind.load() != Region::Kind::kSuperslab) return;
          const uint32_t idle = superslab.dirty.load() & ~superslab.active.load();
          *static_cast<uint64_t*>(sum) += static_cast<uint64_t>(__builtin_popcount(idle)) * kSlabSize;
        },
        &bytes);
    return bytes + arena::GetUsage().idle;
  }
  static Claimant WhoIs(unsigned thread) { return {100 + thread, 0, 0}; }
};

TEST_F(AccountTest, SlotsThatArePurgedAndTakenAgainPutThePurgeOff) {
  Cache cache;
  std::vector<Slab*> slabs;
  const auto take = [&] {
    while (slabs.size() < IdleBudget::kMostDebt / kSlabSize) slabs.push_back(&Take(cache, 1));
  };
  // One slot of each superslab stays, so that they are not given up whole.
  const auto give = [&] {
    std::vector<Slab*> kept;
    for (Slab* slab : slabs) {
      if (slab->index() == 0) {
        kept.push_back(slab);
      } else {
        Give(cache, *slab);
      }
    }
    slabs = kept;
  };
  // At one and the same time: what passes on a busy machine would pay the debt off.
  const auto excess = [now = os::NowMs()] { return g_idle.Excess(now, 0, 3600000); };
  take();
  give();
  EXPECT_NE(excess(), 0u);
  ASSERT_NE(GiveBackIdle(SIZE_MAX), 0u);
  take();
  give();
  EXPECT_EQ(excess(), 0u);
  for (Slab* slab : slabs) Give(cache, *slab);
}

TEST_F(AccountTest, IdleBytesAreThoseOfIdleSlots) {
  constexpr unsigned kUsers = 2;
  constexpr unsigned kPurgers = 2;
  std::atomic<unsigned> using_slots{kUsers};
  std::vector<Slab*> held[kUsers];
  test::RunTogether(kUsers + kPurgers, [&](unsigned thread) {
    if (thread >= kUsers) {
      while (using_slots.load() != 0) GiveBackIdle(thread % 2 == 0 ? SIZE_MAX : kSlabSize);
      return;
    }
    Cache cache;
    uint32_t random = thread + 1;
    for (int i = 0; i < 6000; ++i) {
      random = random * 1664525 + 1013904223;
      std::vector<Slab*>& mine = held[thread];
      if (mine.size() < 24 && (random >> 16) % 2 == 0) {
        mine.push_back(&Take(cache, ClassOfSize((random >> 17) % 4 == 0 ? 200000 : 512), WhoIs(thread)));
      } else if (!mine.empty()) {
        std::swap(mine[(random >> 18) % mine.size()], mine.back());
        Give(cache, *mine.back(), WhoIs(thread));
        mine.pop_back();
      }
    }
    using_slots.fetch_sub(1);
  });
  EXPECT_EQ(g_idle.idle(), IdleBySlots());
  Cache cache;
  for (unsigned thread = 0; thread < kUsers; ++thread) {
    for (Slab* slab : held[thread]) Give(cache, *slab, WhoIs(thread));
  }
  EXPECT_EQ(g_idle.idle(), IdleBySlots());
  GiveBackIdle(SIZE_MAX);
  EXPECT_EQ(IdleBySlots(), 0u);
  EXPECT_EQ(g_idle.idle(), 0u);
}

TEST_F(AccountTest, NoFreeSlotIsLost) {
  constexpr unsigned kThreads = 4;
  const unsigned classes[] = {ClassOfSize(512), ClassOfSize(1024)};
  for (int round = 0; round < 20; ++round) {
    std::vector<Slab*> held[kThreads];
    test::RunTogether(kThreads, [&](unsigned thread) {
      Cache cache;
      uint32_t random = thread + 1 + 10 * static_cast<uint32_t>(round);
      for (int i = 0; i < 1500; ++i) {
        random = random * 1664525 + 1013904223;
        std::vector<Slab*>& mine = held[thread];
        // About as many as superslabs have slots, so that these are full most of the time.
        if (mine.size() < 15 || (mine.size() < 17 && (random >> 16) % 2 == 0)) {
          mine.push_back(&Take(cache, classes[(random >> 17) % 2], WhoIs(thread)));
        } else {
          Give(cache, *mine.back(), WhoIs(thread));
          mine.pop_back();
        }
      }
    });
    const Statistics before = GetStatistics();
    const uint64_t free = before.superslabs * kSlabsPerSuperslab - before.active_slots;
    std::vector<Slab*> rest;
    for (uint64_t i = 0; i < free; ++i) {
      Cache stranger;
      rest.push_back(&Take(stranger, classes[0]));
    }
    EXPECT_EQ(GetStatistics().superslabs_mapped, before.superslabs_mapped);
    Cache cache;
    for (Slab* slab : rest) Give(cache, *slab);
    for (unsigned thread = 0; thread < kThreads; ++thread) {
      for (Slab* slab : held[thread]) Give(cache, *slab, WhoIs(thread));
    }
  }
}

}  // namespace
}  // namespace hakmem::pool
