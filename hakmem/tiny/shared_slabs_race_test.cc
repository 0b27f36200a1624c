// Slabs that nobody owns, and several threads that free into them at once.

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/platform/os.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

const unsigned kClass = ClassOfSize(4096);  // 16 blocks a slab, carved one at a time

// Threads free into the same slab that nobody owns, at the same moment: one claims it, and no block is lost.
class SharedSlabsRaceTest : public HeapTest {
 protected:
  static constexpr size_t kThreads = 3;
  // All rounds in a second; but where one core is busy each meeting of the threads costs time slices, and they end
  // sooner.
  bool GoesOn(int round) const { return round == 0 || (round < 20 && os::NowMs() < begun_ms_ + 10'000); }
  const uint64_t begun_ms_ = os::NowMs();
  // Each thread frees its share of every slab, all threads slab by slab at the same time.
  static void FreeTogether(const std::vector<FullSlab>& slabs) {
    std::atomic<size_t> arrived{0};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        TestHeap me;
        for (size_t s = 0; s < slabs.size(); ++s) {
          arrived.fetch_add(1);
          while (arrived.load() < (s + 1) * kThreads) std::this_thread::yield();
          for (size_t i = t; i < slabs[s].out.size(); i += kThreads) me.Free(slabs[s].out[i]);
        }
        // As the end of a thread does it.
        me.Drive([] { Trim(false); });
      });
    }
    for (std::thread& thread : threads) thread.join();
    TidyAllPooled();
    for (const FullSlab& full : slabs) EXPECT_EQ(full.slab->owner(), kRetired);
  }
};

TEST_F(SharedSlabsRaceTest, IntoFullSlabs) {
  for (int round = 0; GoesOn(round); ++round) {
    for (const unsigned c : {kClass, ClassOfSize(1024), ClassOfSize(40000)}) {
      std::vector<FullSlab> slabs;
      for (int i = 0; i < 100; ++i) slabs.push_back(Leave(c, false));
      FreeTogether(slabs);
    }
  }
}

TEST_F(SharedSlabsRaceTest, IntoWhatIsLeft) {
  for (int round = 0; GoesOn(round); ++round) {
    for (const unsigned c : {kClass, ClassOfSize(1024)}) {
      std::vector<FullSlab> slabs;
      for (int i = 0; i < 100; ++i) slabs.push_back(Leave(c, true));
      FreeTogether(slabs);
    }
  }
}

// The slabs are given up and claimed while others free into them, refill and trim.
TEST_F(SharedSlabsRaceTest, WhileTheyAreGivenUp) {
  constexpr int kRounds = 300;
  constexpr size_t kBlocks = 40;
  std::array<std::atomic<std::vector<Block*>*>, kThreads> boxes = {};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&boxes, t] {
      TestHeap me;
      for (int round = 0; round < kRounds; ++round) {
        auto* made = new std::vector<Block*>;
        for (size_t i = 0; i < kBlocks; ++i) {
          made->push_back(me.Allocate(kClass));
          SetNext(made->back(), nullptr);  // as the program writes into it
        }
        // Into the neighbour's box; what is there is freed here.
        if (auto* old = boxes[(t + 1) % kThreads].exchange(made); old != nullptr) {
          me.Free(*old);
          delete old;
        }
        if (round % 64 == 63) me.Drive([] { Trim(true); });
      }
      me.Drive([] { Trim(false); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  TestHeap last;
  for (auto& box : boxes) {
    if (auto* old = box.exchange(nullptr); old != nullptr) {
      last.Free(*old);
      delete old;
    }
  }
}

}  // namespace
}  // namespace hakmem::tiny
