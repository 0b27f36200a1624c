// Slabs that nobody owns: a heap gives a slab up when all its blocks are out, an ended heap leaves what it has; and
// whoever frees a block into such a slab says what becomes of it.

#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

const unsigned kClass = ClassOfSize(4096);  // 16 blocks a slab, carved one at a time
const unsigned kSmall = ClassOfSize(1024);  // several of which wait in an outbox

class SharedSlabsTest : public HeapTest {
 protected:
  // All blocks of a slab, handed out by refill; the slab is bound.
  static FullSlab UseUp(TestHeap& heap, unsigned c) {
    FullSlab full = {nullptr, {}};
    do {
      full.out.push_back(heap.Allocate(c));
      if (full.slab == nullptr) full.slab = address_map::SlabOf(full.out.front());
      EXPECT_EQ(address_map::SlabOf(full.out.back()), full.slab);
    } while (full.out.size() < full.slab->geometry().capacity);
    EXPECT_EQ(full.slab->owner(), heap->who.id);
    return full;
  }
  // The same, and one block of the slab after it: the first one was looked at.
  static FullSlab UseUpAndGoOn(TestHeap& heap, unsigned c, std::vector<Block*>* next) {
    FullSlab full = UseUp(heap, c);
    next->push_back(heap.Allocate(c));
    EXPECT_NE(address_map::SlabOf(next->back()), full.slab);
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

TEST_F(SharedSlabsTest, AProcesssOnlyThreadGivesAFullSlabUpOnceInItsLife) {
  TestHeap me;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(me, kClass, &next);
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  EXPECT_EQ(full.slab->place, Slab::Place::kNowhere);
  EXPECT_EQ(address_map::TagOfSlab(*full.slab), address_map::kNoTag);
  for (const Slab* slab : me->rest->sticky) EXPECT_NE(slab, full.slab);
  // Back to its slab and out again, until it is full a second time.
  me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->owner(), me->who.id);
  GiveBackLists(*me);
  ASSERT_EQ(full.slab->place, Slab::Place::kBench);
  full.out.push_back(me.Refill(kClass));
  ASSERT_EQ(address_map::SlabOf(full.out.back()), full.slab);
  next.push_back(me.Refill(kClass));
  EXPECT_NE(address_map::SlabOf(next.back()), full.slab);
  EXPECT_EQ(full.slab->owner(), me->who.id) << "the second time it stays";
  EXPECT_EQ(full.slab->place, Slab::Place::kFull);
  me.Free(full.out);
  me.Free(next);
}

TEST_F(SharedSlabsTest, ItsNextLifeIsANewOne) {
  const auto live = [](TestHeap& me) {
    std::vector<Block*> next;
    FullSlab full = UseUpAndGoOn(me, kClass, &next);
    EXPECT_EQ(full.slab->owner(), kNoHeap);
    me.Free(full.TakeOut());
    EXPECT_EQ(full.slab->owner(), me->who.id);
    GiveBackLists(*me);
    full.out.push_back(me.Refill(kClass));
    EXPECT_EQ(address_map::SlabOf(full.out.back()), full.slab);
    me.Free(full.out);
    me.Free(next);
    return full.slab;
  };
  std::set<Slab*> seen;
  bool again = false;
  for (int i = 0; i < 100 && !again; ++i) {
    TestHeap me;
    Slab* const slab = live(me);
    me.End();
    EXPECT_EQ(slab->owner(), kRetired);
    again = !seen.insert(slab).second;
  }
  EXPECT_TRUE(again);
}

TEST_F(SharedSlabsTest, NotASlabIntoWhichSomebodyHasFreed) {
  TestHeap me;
  TestHeap other;
  FullSlab full = UseUp(me, kClass);
  other.Free(full.TakeOut());
  FlushOutbox(*other);
  full.out.push_back(me.Allocate(kClass));
  EXPECT_EQ(address_map::SlabOf(full.out.back()), full.slab) << "its blocks are used first";
  EXPECT_EQ(full.slab->owner(), me->who.id);
  Block* const next = me.Allocate(kClass);
  EXPECT_EQ(full.slab->owner(), me->who.id);
  me.Free(full.out);
  me.Free(next);
}

TEST_F(SharedSlabsTest, AmongOthersAFullSlabOfFewBlocksIsGivenUpEachTime) {
  TestHeap me;
  TestHeap other;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(me, kClass, &next);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(full.slab->owner(), kNoHeap);
    // Back to its slab and out again.
    me.Free(full.TakeOut());
    EXPECT_EQ(full.slab->owner(), me->who.id);
    GiveBackLists(*me);
    full.out.push_back(me.Refill(kClass));
    ASSERT_EQ(address_map::SlabOf(full.out.back()), full.slab);
    next.push_back(me.Refill(kClass));
    EXPECT_NE(address_map::SlabOf(next.back()), full.slab);
  }
  other.Free(full.out);
  EXPECT_EQ(full.slab->owner(), kRetired) << "without the heap that used it";
  me.Free(next);
}

// The bound slab that is full when another one takes its place is looked at by nobody else.
TEST_F(SharedSlabsTest, AFullSlabIsGivenUpWhenAnotherOneIsBound) {
  TestHeap me;
  TestHeap other;
  FullSlab full = UseUp(me, kClass);
  ASSERT_EQ(full.slab->place, Slab::Place::kBound);
  FullSlab fuller = MakeFull(me, kClass);
  PutHome(me, fuller);
  Bind(*me, me.Own(*fuller.slab));
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  EXPECT_EQ(full.slab->place, Slab::Place::kNowhere);
  other.Free(full.out);
  EXPECT_EQ(full.slab->owner(), kRetired);
  me.Free(fuller.out);
}

// What a thread that sleeps has filled comes to its end when another one frees it, whatever the size of the blocks.
TEST_F(SharedSlabsTest, FullSlabsOfEveryClassEndWithoutTheirHeap) {
  for (unsigned c = 1; c < kClasses; ++c) {
    if (!IsClass(c)) continue;
    TestHeap sleeper;
    TestHeap other;
    std::vector<Block*> next;
    FullSlab full = UseUpAndGoOn(sleeper, c, &next);
    EXPECT_EQ(full.slab->owner(), kNoHeap) << kSizeClasses[c].block_size;
    other.Free(full.out);
    EXPECT_EQ(full.slab->owner(), kRetired) << kSizeClasses[c].block_size;
    sleeper.Free(next);
  }
}

TEST_F(SharedSlabsTest, AProcesssOnlyThreadKeepsFullSlabsOfClassesWithoutLists) {
  for (unsigned c = 1; c < kClasses; ++c) {
    if (!IsClass(c)) continue;
    TestHeap me;
    std::vector<Block*> next;
    FullSlab full = UseUpAndGoOn(me, c, &next);
    EXPECT_EQ(full.slab->owner() == kNoHeap, c <= kMaxListedClass) << kSizeClasses[c].block_size;
    me.Free(full.out);
    me.Free(next);
  }
}

// Blocks without lists of a slab that was given up go straight home; the heap that uses them keeps it.
TEST_F(SharedSlabsTest, TheFormerOwnerTakesASlabWithoutListsBack) {
  const unsigned c = ClassOfSize(40000);
  TestHeap me;
  TestHeap other;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(me, c, &next);
  ASSERT_GT(full.out.size(), 1u);
  ASSERT_EQ(full.slab->owner(), kNoHeap);
  me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->owner(), me->who.id);
  EXPECT_EQ(full.slab->place, Slab::Place::kBench);
  me.Free(full.out);
  EXPECT_EQ(full.slab->owner(), kRetired);
  me.Free(next);
}

TEST_F(SharedSlabsTest, NoneWithoutAdoption) {
  g_options.tiny_ss_adopt = 0;
  TestHeap me;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(me, kClass, &next);
  EXPECT_EQ(full.slab->owner(), me->who.id);
  me.Free(full.out);
  me.Free(next);
}

TEST_F(SharedSlabsTest, WhoFreesFirstOwnsAFullSlab) {
  TestHeap former;
  TestHeap stranger;
  std::vector<Block*> next;
  std::vector<Block*> stranger_out;
  FullSlab mine = UseUpAndGoOn(former, kClass, &next);
  Block* const first = mine.TakeOut();
  former.Free(first);
  EXPECT_EQ(mine.slab->owner(), former->who.id) << "its former owner";
  EXPECT_EQ(former->free(kClass).head, first);

  FullSlab theirs = UseUpAndGoOn(former, ClassOfSize(64), &next);
  Block* const own = stranger.Allocate(ClassOfSize(64));
  Block* const second = theirs.TakeOut();
  stranger.Free(second);
  EXPECT_EQ(theirs.slab->owner(), stranger->who.id) << "or a stranger";
  EXPECT_EQ(theirs.slab->place, Slab::Place::kFull);
  EXPECT_EQ(stranger->rest->full, theirs.slab);
  EXPECT_EQ(stranger->counters.adopted.value(), 1u);
  EXPECT_EQ(stranger->counters.remote_frees.value(), 0u);
  while (stranger->free(ClassOfSize(64)).head != nullptr) stranger_out.push_back(stranger.Allocate(ClassOfSize(64)));
  EXPECT_EQ(stranger_out.back(), second) << "who uses the block again";
  stranger_out.push_back(own);
  // From here on the former owner is the stranger.
  former.Free(theirs.TakeOut());
  EXPECT_EQ(former->counters.remote_frees.value(), 1u);
  stranger.Free(theirs.out);
  stranger.Free(stranger_out);
  former.Free(mine.out);
  former.Free(next);
}

// A thread that frees a few blocks and then sleeps must not keep the slabs from those who free the rest.
TEST_F(SharedSlabsTest, WhoHasNoUseForTheBlocksLeavesAFullSlabToOthers) {
  TestHeap former;
  TestHeap stranger;
  std::vector<Block*> next;
  const auto is_left = [&](FullSlab& full) {
    stranger.Free(full.TakeOut());
    EXPECT_EQ(full.slab->owner(), kNoHeap);
    EXPECT_TRUE(WaitsInOutbox(*stranger, *full.slab));
    FlushOutbox(*stranger);
    EXPECT_EQ(full.slab->owner(), kNoHeap) << "the push has made it known, and kept nothing";
    EXPECT_EQ(stranger->counters.adopted.value(), 1u);
    stranger->counters.adopted.Add(uint64_t{0} - 1);
  };
  FullSlab first = UseUpAndGoOn(former, kSmall, &next);
  is_left(first);  // it does not allocate of the class
  FullSlab second = UseUpAndGoOn(former, ClassOfSize(96), &next);
  stranger.Free(stranger.Allocate(ClassOfSize(96)));
  is_left(second);  // its free list is not empty
  former.Free(first.out);
  former.Free(second.out);
  former.Free(next);
}

// The first push makes a full slab one that has blocks; those after it are gathered all the same.
TEST_F(SharedSlabsTest, WhoHasNoUseForTheBlocksOfAFullSlabGathersThemToTheEnd) {
  TestHeap former;
  TestHeap stranger;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(former, ClassOfSize(256), &next);  // 256 blocks, 32 of which go at a time
  for (size_t freed = 1; full.out.size() > 1; ++freed) {
    stranger.Free(full.TakeOut());
    ASSERT_EQ(full.slab->owner(), kNoHeap);
    ASSERT_EQ(stranger->counters.adopted.value(), freed / 32);
  }
  stranger.Free(full.TakeOut());
  EXPECT_EQ(full.slab->owner(), kRetired) << "the last one keeps nothing waiting";
  former.Free(next);
}

// A thread that goes to sleep keeps few slabs of nobody from their end.
TEST_F(SharedSlabsTest, FewSlabsOfNobodyWaitForAHeap) {
  constexpr size_t kSlabs = 100;
  constexpr size_t kMost = 64;
  TestHeap former;
  TestHeap stranger;
  std::vector<FullSlab> slabs;
  FullSlab owned = MakeFull(former, kSmall);
  stranger.Free(owned.TakeOut());
  for (size_t i = 0; i < kSlabs; ++i) {
    slabs.push_back(MakeFull(former, kSmall));
    ReleaseOrPlace(*former, former.Own(*slabs.back().slab));
    stranger.Free(slabs.back().TakeOut());
  }
  EXPECT_EQ(stranger->rest->outbox_used, kMost + 1) << "the owned one's, which wakes its owner, is not counted";
  size_t waiting = 0;
  for (const FullSlab& slab : slabs) waiting += WaitsInOutbox(*stranger, *slab.slab);
  EXPECT_EQ(waiting, kMost);
  EXPECT_TRUE(WaitsInOutbox(*stranger, *slabs.back().slab));
  FlushOutbox(*stranger);
  EXPECT_EQ(stranger->rest->outbox_unowned, 0u);
  for (FullSlab& slab : slabs) former.Free(slab.out);
  former.Free(owned.out);
}

// Also the heap that gave a slab up gathers its blocks once others have freed some, rather than to claim it each time.
TEST_F(SharedSlabsTest, WhoGaveASlabUpGathersWhatOthersHaveBegunToFree) {
  TestHeap former;
  TestHeap stranger;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(former, kSmall, &next);
  former.Free(next.back());  // it has a free block of the class
  next.pop_back();
  stranger.Free(full.TakeOut());
  FlushOutbox(*stranger);
  ASSERT_EQ(full.slab->owner(), kNoHeap);
  const uint64_t adopted = former->counters.adopted.value();
  for (int i = 0; i < 40; ++i) former.Free(full.TakeOut());
  EXPECT_LE(former->counters.adopted.value(), adopted + 5) << "eight blocks at a time";
  former.Free(full.out);
  FlushOutbox(*former);
  EXPECT_EQ(full.slab->owner(), kRetired);
}

// The last block that is out is sent at once, with those that wait.
TEST_F(SharedSlabsTest, TheLastBlockOfAFullSlabIsSentWithTheOthers) {
  TestHeap former;
  TestHeap stranger;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(former, kSmall, &next);
  while (full.out.size() > 3) stranger.Free(full.TakeOut());
  FlushOutbox(*stranger);
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  stranger.Free(full.TakeOut());
  stranger.Free(full.TakeOut());
  EXPECT_TRUE(WaitsInOutbox(*stranger, *full.slab));
  stranger.Free(full.TakeOut());
  EXPECT_FALSE(WaitsInOutbox(*stranger, *full.slab));
  EXPECT_EQ(full.slab->owner(), kRetired);
  former.Free(next);
}

// Blocks above those of lists go straight home, and a slab of one block comes to its end.
TEST_F(SharedSlabsTest, ClassesWithoutListsToo) {
  for (const size_t size : {40000u, 300000u}) {
    const unsigned c = ClassOfSize(size);
    ASSERT_GT(c, kMaxListedClass);
    FullSlab full = Leave(c, false);
    TestHeap me;
    me.Free(full.TakeOut());
    if (!full.out.empty()) {
      EXPECT_EQ(full.slab->owner(), kNoHeap) << "it does not allocate of the class";
      EXPECT_EQ(full.slab->place, Slab::Place::kNowhere);
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
    if (Slab* slab = TakeFromMailbox(kClass, false); slab != nullptr) return slab;
    return TakeFromBoard(kClass, false);
  };
  ASSERT_EQ(take_name(), full.slab);
  ASSERT_EQ(take_name(), nullptr);
  me.Free(full.TakeOut());
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  EXPECT_EQ(full.slab->place, Slab::Place::kNowhere);
  EXPECT_EQ(me->free(kClass).head, nullptr) << "no list keeps the block";
  EXPECT_TRUE(WaitsInOutbox(*me, *full.slab));
  FlushOutbox(*me);
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  // Named again: another heap finds it.
  Block* const first = other.Refill(kClass);
  EXPECT_EQ(address_map::SlabOf(first), full.slab);
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
  EXPECT_EQ(me->bench(kClass), full.slab);
  EXPECT_EQ(me.Own(*full.slab).used(), full.out.size());
  me.Free(full.out);
  me.Free(bound.out);
}

// Else one block in the heap's list would keep each of many slabs that threads have left.
TEST_F(SharedSlabsTest, AHeapThatHasBlocksLeavesTheRestToOthers) {
  TestHeap me;
  FullSlab bound = MakeFull(me, kClass);
  Bind(*me, me.Own(*bound.slab));
  FullSlab kept = Leave(kClass, true);
  FullSlab left = Leave(kClass, true);
  me.Free(kept.TakeOut());
  EXPECT_EQ(kept.slab->owner(), me->who.id);
  me.Free(left.TakeOut());
  EXPECT_EQ(left.slab->owner(), kNoHeap);
  EXPECT_EQ(me->free(kClass).head, nullptr);
  me.Free(left.out);
  EXPECT_EQ(left.slab->owner(), kRetired);
  me.Free(kept.out);
  me.Free(bound.out);
}

// A block waits in the outbox while its slab becomes the heap's own: it comes home by way of the heap's own inbox.
TEST_F(SharedSlabsTest, ATrimFindsWhatTheOutboxHasSentToTheHeapItself) {
  FullSlab full = Leave(kClass, false);
  TestHeap me;
  me.Free(full.TakeOut());
  ASSERT_TRUE(WaitsInOutbox(*me, *full.slab));
  Place(*me, me.Own(*full.slab));
  me.Free(full.out);
  me.Drive([] { Trim(false); });
  EXPECT_EQ(full.slab->owner(), kRetired);
  EXPECT_TRUE(me->inbox.LooksEmpty());
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
    FlushOutbox(*me);
    OwnedSlab owned = me.Own(*full.slab);
    EXPECT_EQ(owned.used(), full.out.size()) << "home once";
    Place(*me, owned);
  }
  me.Free(full.out);
}

// In the outbox, others in between: the blocks go home once each.
TEST_F(SharedSlabsTest, ADoubleFreeNotInARowIsReportedWhenTheChainGoesHome) {
  TestHeap former;
  TestHeap me;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(former, kSmall, &next);
  Block* const a = full.TakeOut();
  Block* const b = full.TakeOut();
  Block* const c = full.TakeOut();
  for (Block* block : {c, a, b, a}) me.Free(block);
  const std::string reports = Reports([&] { FlushOutbox(*me); });
  EXPECT_NE(reports.find("double free"), std::string::npos) << reports;
  EXPECT_EQ(full.slab->PeekRemote().count, 2u) << "the one before both is out of reach";
  full.out.push_back(c);
  former.Free(full.out);
  former.Free(next);
}

// The last block of a chain that was pushed, freed again.
TEST_F(SharedSlabsTest, ADoubleFreeAcrossAPushIsReported) {
  TestHeap former;
  TestHeap me;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(former, ClassOfSize(256), &next);
  Block* last = nullptr;
  for (int i = 0; i < 32; ++i) me.Free(last = full.TakeOut());
  ASSERT_EQ(full.slab->PeekRemote().count, 32u) << "pushed";
  const std::string reports = Reports([&] { me.Free(last); });
  EXPECT_NE(reports.find("double free"), std::string::npos) << reports;
  EXPECT_EQ(me->rest->outbox_used, 0u);
  EXPECT_EQ(full.slab->PeekRemote().count, 32u);
  former.Free(full.out);
  former.Free(next);
}

TEST_F(SharedSlabsTest, ADoubleFreeIntoAFullOneIsReported) {
  TestHeap former;
  TestHeap me;
  std::vector<Block*> next;
  FullSlab full = UseUpAndGoOn(former, kClass, &next);
  Block* const own = me.Allocate(kClass);
  Block* const twice = full.TakeOut();
  me.Free(twice);
  ASSERT_EQ(full.slab->owner(), me->who.id);
  const std::string reports = Reports([&] { me.Free(twice); });
  EXPECT_NE(reports.find("double free"), std::string::npos) << reports;
  EXPECT_EQ(Length(me->free(kClass).head), 1u);
  me.Free(full.out);
  me.Free(own);
  former.Free(next);
}

// A block waits in the outbox when its slab's owner gives the slab up: its second free is noticed all the same.
TEST_F(SharedSlabsTest, ADoubleFreeOfWhatWaitsInTheOutboxIsReported) {
  TestHeap former;
  TestHeap me;
  std::vector<Block*> next;
  FullSlab full = UseUp(former, kSmall);
  Block* const twice = full.TakeOut();
  me.Free(twice);
  ASSERT_TRUE(WaitsInOutbox(*me, *full.slab));
  next.push_back(former.Allocate(kSmall));
  ASSERT_EQ(full.slab->owner(), kNoHeap) << "given up meanwhile";
  const std::string reports = Reports([&] { me.Free(twice); });
  EXPECT_NE(reports.find("double free"), std::string::npos) << reports;
  EXPECT_EQ(full.slab->owner(), kNoHeap);
  FlushOutbox(*me);
  EXPECT_EQ(me->counters.adopted.value(), 1u) << "the push claims it";
  EXPECT_EQ(full.slab->owner(), kNoHeap) << "and leaves it to others, as the heap does not allocate of the class";
  const OwnedSlab owned = me.Own(*full.slab);
  EXPECT_EQ(owned.used(), full.out.size());
  Place(*me, owned);
  me.Free(full.out);
  former.Free(next);
}

}  // namespace
}  // namespace hakmem::tiny
