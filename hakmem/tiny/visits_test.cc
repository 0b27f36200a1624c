// The first blocks of a thread that is one of many come out of slabs that stay nobody's.

#include <memory>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"
#include "testing/support/threads.h"

namespace hakmem::tiny {
namespace {

class VisitsTest : public HeapTest {
 protected:
  static void SetUpTestSuite() {
    HeapTest::SetUpTestSuite();
    PrepareThreadExit();
  }
  static uintptr_t LineOf(const void* p) { return reinterpret_cast<uintptr_t>(p) / 64; }
};

TEST_F(VisitsTest, HeapsTakeTheirBlocksOutOfOneSlab) {
  const unsigned c = ClassOfSize(300);
  std::vector<std::unique_ptr<TestHeap>> heaps;
  std::vector<Block*> blocks;
  std::set<const Slab*> slabs;
  for (int i = 0; i < 10; ++i) {
    TestHeap& heap = *heaps.emplace_back(std::make_unique<TestHeap>());
    heap->visits_left = 1;
    blocks.push_back(heap.Allocate(c));
    EXPECT_EQ(heap->visits_left, 0);
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

TEST_F(VisitsTest, BlocksOfTwoHeapsShareNoCacheLine) {
  for (const size_t size : {16, 32, 48, 64, 80, 96, 240, 288}) {
    const unsigned c = ClassOfSize(size);
    TestHeap one;
    TestHeap other;
    one->visits_left = other->visits_left = 2;
    std::set<uintptr_t> lines[2];
    std::vector<std::pair<TestHeap*, Block*>> out;
    for (TestHeap* heap : {&one, &other, &one, &other}) {
      do {
        Block* const block = heap->Allocate(c);
        out.emplace_back(heap, block);
        for (size_t at = 0; at < kSizeClasses[c].block_size; at += kMinBlock) {
          lines[heap == &other].insert(LineOf(reinterpret_cast<char*>(block) + at));
        }
      } while ((*heap)->alloc(c) != nullptr);
    }
    EXPECT_EQ(one->visits_left, 0);
    EXPECT_EQ(other->visits_left, 0);
    for (const uintptr_t line : lines[0]) EXPECT_EQ(lines[1].count(line), 0u) << size;
    for (const auto& [heap, block] : out) heap->Free(block);
  }
}

TEST_F(VisitsTest, FreedBlocksComeBackFirst) {
  const unsigned c = ClassOfSize(1000);
  TestHeap one;
  TestHeap other;
  one->visits_left = other->visits_left = 2;
  Block* const first = one.Allocate(c);
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

TEST_F(VisitsTest, AHeapThatHasVisitedOftenKeepsItsSlab) {
  const unsigned c = ClassOfSize(100);
  TestHeap me;
  me->visits_left = 1;
  std::vector<Block*> out{me.Allocate(c)};
  while (me->alloc(c) != nullptr) out.push_back(me.Allocate(c));
  out.push_back(me.Allocate(c));
  EXPECT_EQ(address_map::SlabOf(out.back())->owner(), me->who.id);
  EXPECT_EQ(me->bound(c), address_map::SlabOf(out.back()));
  me.Free(out);
}

TEST_F(VisitsTest, LargeClassesAreNotVisited) {
  TestHeap me;
  me->visits_left = 1;
  Block* const block = me.Allocate(kMaxListedClass + 1);
  EXPECT_EQ(address_map::SlabOf(block)->owner(), me->who.id);
  me.Free(block);
}

TEST_F(VisitsTest, WithoutAdoptionNobodyVisits) {
  g_options.tiny_ss_adopt = 0;
  TestHeap me;
  me->visits_left = 1;
  Block* const block = me.Allocate(ClassOfSize(300));
  EXPECT_EQ(address_map::SlabOf(block)->owner(), me->who.id);
  me.Free(block);
}

// Whether a thread that starts beside `others` heaps visits.
bool Visits(uint32_t others) {
  std::vector<std::unique_ptr<TestHeap>> heaps;
  while (heap_pool::DrivenHeaps() < others) heaps.push_back(std::make_unique<TestHeap>());
  EXPECT_EQ(heap_pool::DrivenHeaps(), others);
  bool visits = false;
  test::RunInThread([&] {
    bool clean;
    void* const block = tiny::Allocate(ClassOfSize(300), &clean);
    visits = address_map::SlabOf(block)->owner() == kNoHeap;
    EXPECT_EQ(tls_heap->visits_left, visits ? kVisits - 1 : 0);
    tiny::Free(block, *address_map::SlabOf(block));
  });
  return visits;
}

TEST_F(VisitsTest, OneOfManyThreadsVisits) {
  EXPECT_FALSE(Visits(kManyHeaps - 2));
  EXPECT_TRUE(Visits(kManyHeaps - 1));
  EXPECT_FALSE(Visits(kManyHeaps - 2)) << "heaps that nobody drives any more do not count";
}

}  // namespace
}  // namespace hakmem::tiny
