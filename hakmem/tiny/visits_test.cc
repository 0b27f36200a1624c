// The first blocks of a thread that is one of many come out of slabs that stay nobody's.

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"
#include "testing/support/threads.h"

namespace hakmem::tiny {
namespace {

// A heap as that of a thread which starts beside many.
class Visitor : public TestHeap {
 public:
  Visitor() { VisitAgain(); }
  void VisitAgain() {
    for (ClassSet& set : (*this)->to_visit) set.SetAll(true);
  }
};

class VisitsTest : public HeapTest {
 protected:
  static void SetUpTestSuite() {
    HeapTest::SetUpTestSuite();
    PrepareThreadExit();
  }
  static HeapId OwnerOf(const Block* block) { return address_map::SlabOf(block)->owner(); }
};

TEST_F(VisitsTest, HeapsTakeTheirBlocksOutOfOneSlab) {
  const unsigned c = ClassOfSize(300);
  std::vector<std::unique_ptr<Visitor>> heaps;
  std::vector<Block*> blocks;
  std::set<const Slab*> slabs;
  for (int i = 0; i < 10; ++i) {
    Visitor& heap = *heaps.emplace_back(std::make_unique<Visitor>());
    blocks.push_back(heap.Allocate(c));
    EXPECT_EQ(heap->bound(c), nullptr);
    Slab* const slab = address_map::SlabOf(blocks.back());
    slabs.insert(slab);
    EXPECT_EQ(slab->owner(), kNoHeap);
    EXPECT_EQ(slab->place, Slab::Place::kNowhere);
    EXPECT_EQ(address_map::TagOfSlab(*slab), address_map::kNoTag);
  }
  EXPECT_EQ(slabs.size(), 1u);
  for (size_t i = 0; i < heaps.size(); ++i) heaps[i]->Free(blocks[i]);
}

// Also across pages, and where blocks were freed; until the slab has no memory left that was never handed out.
TEST_F(VisitsTest, BlocksOfTwoHeapsShareNoCacheLine) {
  for (const size_t size : {16, 32, 48, 64, 80, 96, 240, 288}) {
    const unsigned c = ClassOfSize(size);
    TestHeap cleaner;
    std::vector<std::pair<Block*, int>> live;  // block, who took it
    for (int visit = 0; visit < 60; ++visit) {
      Visitor heap;
      do {
        live.emplace_back(heap.Allocate(c), visit);
      } while (heap->alloc(c) != nullptr);
      if (visit % 4 != 0) continue;
      cleaner.Free(live.back().first);
      live.pop_back();
      FlushOutbox(*cleaner);
    }
    std::map<uintptr_t, int> taken;  // lines
    for (const auto& [block, visit] : live) {
      for (size_t at = 0; at < kSizeClasses[c].block_size; at += kMinBlock) {
        const auto line = taken.emplace((reinterpret_cast<uintptr_t>(block) + at) / 64, visit).first;
        ASSERT_EQ(line->second, visit) << size;
      }
    }
    for (const auto& [block, visit] : live) cleaner.Free(block);
  }
}

TEST_F(VisitsTest, BlocksOfWholeLinesComeBackFirst) {
  const unsigned c = ClassOfSize(1024);
  Visitor one;
  Visitor other;
  Block* const first = one.Allocate(c);
  one.VisitAgain();
  Block* const second = one.Allocate(c);
  Slab* const slab = address_map::SlabOf(first);
  ASSERT_EQ(address_map::SlabOf(second), slab);
  one.Free(first);
  FlushOutbox(*one);
  EXPECT_EQ(slab->owner(), kNoHeap) << "who visits does not come by a slab by freeing";
  EXPECT_EQ(other.Allocate(c), first);
  one.Free(second);
  other.Free(first);
}

TEST_F(VisitsTest, AnEighthTimeTheHeapKeepsItsSlab) {
  const unsigned c = ClassOfSize(100);
  Visitor me;
  std::vector<Block*> out;
  for (int visit = 0; visit < 7; ++visit) {
    do {
      out.push_back(me.Allocate(c));
      EXPECT_EQ(OwnerOf(out.back()), kNoHeap);
    } while (me->alloc(c) != nullptr);
  }
  out.push_back(me.Allocate(c));
  EXPECT_EQ(OwnerOf(out.back()), me->who.id);
  EXPECT_EQ(me->bound(c), address_map::SlabOf(out.back()));
  out.push_back(me.Allocate(ClassOfSize(200)));
  EXPECT_EQ(OwnerOf(out.back()), kNoHeap) << "another class";
  me.Free(out);
}

// A slab that visitors share is no better than the own one, while nothing was freed into it.
TEST_F(VisitsTest, HeapsThatKeepSlabsLeaveThoseOfVisitorsAlone) {
  const unsigned c = ClassOfSize(64);
  TestHeap keeper;
  std::vector<Block*> kept{keeper.Allocate(c)};
  const Slab* const own = address_map::SlabOf(kept.front());
  std::vector<Block*> visited;
  std::set<const Slab*> slabs;
  const auto go_on = [&] {
    Visitor visitor;
    visited.push_back(visitor.Allocate(c));
    slabs.insert(address_map::SlabOf(visited.back()));
    do {
      kept.push_back(keeper.Allocate(c));
      EXPECT_EQ(address_map::SlabOf(kept.back()), own);
    } while (keeper->alloc(c) != nullptr);
  };
  for (int i = 0; i < 5; ++i) go_on();
  EXPECT_EQ(slabs.size(), 1u);
  // And one that stands on the board, behind it.
  {
    TestHeap ended;
    OwnedSlab owned = *pool::Acquire(ended->pool_cache, ended->who, c);
    bool clean;
    visited.push_back(owned.Carve(1, &clean).first);
    Place(*ended, owned);
  }
  for (int i = 0; i < 3; ++i) go_on();
  EXPECT_EQ(slabs.size(), 1u);
  // One block comes home: the keeper takes it.
  Block* const back = visited.front();
  visited.erase(visited.begin());
  keeper.Free(back);
  FlushOutbox(*keeper);
  EXPECT_EQ(keeper.Refill(c), back);
  kept.push_back(back);
  keeper.Free(visited);
  keeper.Free(kept);
}

// Where the slab has no list, or what fills the rest of a line would find none, or slabs stay with their heaps.
TEST_F(VisitsTest, NobodyVisitsWhereItCannotBe) {
  const auto keeps = [](unsigned c) {
    Visitor me;
    Block* const block = me.Allocate(c);
    const bool kept = OwnerOf(block) == me->who.id;
    me.Free(block);
    return kept;
  };
  const unsigned c = ClassOfSize(48);
  EXPECT_FALSE(keeps(c));
  EXPECT_TRUE(keeps(kMaxListedClass + 1));
  g_options.tiny_fast_cap = 0;
  EXPECT_TRUE(keeps(c)) << "no lists";
  g_options.tiny_fast_cap = kMaxListLength;
  g_options.tiny_ss_adopt = 0;
  EXPECT_TRUE(keeps(c)) << "no adoption";
}

// Whether a thread that starts beside `others` heaps visits.
bool Visits(uint32_t others, bool often = false) {
  std::vector<std::unique_ptr<TestHeap>> heaps;
  while (heap_pool::DrivenHeaps() < others) heaps.push_back(std::make_unique<TestHeap>());
  EXPECT_EQ(heap_pool::DrivenHeaps(), others);
  bool visits = false;
  Heap* heap = nullptr;
  test::RunInThread([&] {
    bool clean;
    void* const block = tiny::Allocate(ClassOfSize(300), &clean);
    visits = address_map::SlabOf(block)->owner() == kNoHeap;
    heap = tls_heap;
    EXPECT_EQ(heap->to_visit[1].Has(1), visits);
    EXPECT_EQ(heap->to_visit[2].Has(1), often);
    tiny::Free(block, *address_map::SlabOf(block));
  });
  EXPECT_FALSE(heap->to_visit[1].Has(1)) << "pooled";
  return visits;
}

TEST_F(VisitsTest, OneOfManyThreadsVisits) {
  EXPECT_FALSE(Visits(kManyHeaps - 2));
  EXPECT_TRUE(Visits(kManyHeaps - 1));
  EXPECT_FALSE(Visits(kManyHeaps - 2)) << "heaps that nobody drives any more do not count";
}

TEST_F(VisitsTest, OneOfVeryManyThreadsVisitsMoreOften) {
  EXPECT_TRUE(Visits(kVeryManyHeaps - 2));
  EXPECT_TRUE(Visits(kVeryManyHeaps - 1, true));
}

}  // namespace
}  // namespace hakmem::tiny
