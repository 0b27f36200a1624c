// Slabs that nobody owns, as an ended heap leaves them: whoever frees a block into one says what becomes of it.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

const unsigned kClass = ClassOfSize(4096);  // 16 blocks a slab, carved one at a time

class SharedSlabsTest : public HeapTest {
 protected:
  // What an ended heap leaves: one block free, or not, and all others out.
  static FullSlab Leave(unsigned c, bool with_free) {
    TestHeap ended;
    FullSlab full = MakeFull(ended, c);
    if (with_free) PutHome(ended, full);
    return full;
  }
  template <class Action>
  static std::string Reports(Action action) {
    const uint64_t saved = g_options.on_error;
    g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
    testing::internal::CaptureStderr();
    action();
    g_options.on_error = saved;
    return testing::internal::GetCapturedStderr();
  }
};

// Blocks above those of lists go straight home, and a slab of one block comes to its end.
TEST_F(SharedSlabsTest, ClassesWithoutListsToo) {
  for (const size_t size : {40000u, 300000u}) {
    const unsigned c = ClassOfSize(size);
    ASSERT_GT(c, kMaxListedClass);
    FullSlab full = Leave(c, false);
    TestHeap me;
    me.Free(full.TakeOut());
    if (!full.out.empty()) {
      EXPECT_EQ(full.slab->owner(), me->who.id);
      EXPECT_EQ(full.slab->place, Slab::Place::kBench);
    }
    me.Free(full.out);
    EXPECT_EQ(full.slab->owner(), kRetired) << size;
  }
}

TEST_F(SharedSlabsTest, AHeapThatDoesNotAllocateLeavesTheRestToOthers) {
  FullSlab full = Leave(kClass, true);
  TestHeap me;
  TestHeap other;
  const auto take_name = [&] {
    if (Slab* slab = TakeFromMailbox(kClass); slab != nullptr) return slab;
    return TakeFromBoard(kClass);
  };
  ASSERT_EQ(take_name(), full.slab);
  ASSERT_EQ(take_name(), nullptr);
  Block* const freed = full.TakeOut();
  me.Free(freed);
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  EXPECT_EQ(full.slab->place, Slab::Place::kNowhere);
  EXPECT_EQ(me->free(kClass).head, nullptr) << "no list keeps the block";
  EXPECT_EQ(me->rest->outbox_used, 0u);
  // Named again: another heap finds it, with the block.
  Block* const first = other.Refill(kClass);
  EXPECT_EQ(first, freed);
  EXPECT_EQ(full.slab->owner(), other->who.id);
  full.out.push_back(first);
  other.Free(full.out);
}

TEST_F(SharedSlabsTest, TheLastFreeOfTheRestEndsIt) {
  FullSlab full = Leave(kClass, true);
  TestHeap me;
  while (full.out.size() > 1) {
    me.Free(full.TakeOut());
    ASSERT_EQ(full.slab->owner(), kNoHeap);
  }
  me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->owner(), kRetired);
}

TEST_F(SharedSlabsTest, AHeapThatAllocatesKeepsTheRest) {
  TestHeap me;
  FullSlab bound = MakeFull(me, kClass);
  Bind(*me, me.Own(*bound.slab));
  FullSlab full = Leave(kClass, true);
  me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->owner(), me->who.id);
  EXPECT_EQ(me->rest->bench[kClass], full.slab);
  EXPECT_EQ(me.Own(*full.slab).used(), full.out.size());
  me.Free(full.out);
  me.Free(bound.out);
}

TEST_F(SharedSlabsTest, ADoubleFreeOfTheRestIsReported) {
  FullSlab full = Leave(kClass, true);
  TestHeap me;
  Block* const twice = full.TakeOut();
  me.Free(twice);
  ASSERT_EQ(full.slab->owner(), kNoHeap);
  const std::string reports = Reports([&] { me.Free(twice); });
  EXPECT_NE(reports.find("double free"), std::string::npos) << reports;
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  {
    OwnedSlab owned = me.Own(*full.slab);
    EXPECT_EQ(owned.used(), full.out.size()) << "home once";
    Place(*me, owned);
  }
  me.Free(full.out);
}

// Threads free into the same slab that nobody owns, at the same moment: one claims it, and no block is lost.
class SharedSlabsRaceTest : public SharedSlabsTest {
 protected:
  static constexpr size_t kThreads = 3;
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
  for (int round = 0; round < 20; ++round) {
    for (const unsigned c : {kClass, ClassOfSize(1024), ClassOfSize(40000)}) {
      std::vector<FullSlab> slabs;
      for (int i = 0; i < 100; ++i) slabs.push_back(Leave(c, false));
      FreeTogether(slabs);
    }
  }
}

TEST_F(SharedSlabsRaceTest, IntoWhatIsLeft) {
  for (int round = 0; round < 20; ++round) {
    for (const unsigned c : {kClass, ClassOfSize(1024)}) {
      std::vector<FullSlab> slabs;
      for (int i = 0; i < 100; ++i) slabs.push_back(Leave(c, true));
      FreeTogether(slabs);
    }
  }
}

}  // namespace
}  // namespace hakmem::tiny
