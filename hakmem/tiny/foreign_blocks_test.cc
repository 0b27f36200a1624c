// What a thread frees for others it may use itself, as long as nobody's cache line and nobody's memory suffers.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"
#include "testing/support/threads.h"

namespace hakmem::tiny {
namespace {

class ForeignBlocksTest : public HeapTest {
 protected:
  static void SetUpTestSuite() {
    HeapTest::SetUpTestSuite();
    PrepareThreadExit();
  }
  static bool IsOf(const Block* block, const FullSlab& full) { return address_map::SlabOf(block) == full.slab; }
  // The heap may use foreign blocks of the class, as if its own slabs had brought it many.
  static void GiveCredit(Heap& heap, unsigned c) { heap.rest->foreign_credit[c] = 64; }
};

TEST_F(ForeignBlocksTest, RefillTakesWhatWaitsOfTheSlabFreedIntoLast) {
  TestHeap owner;
  TestHeap me;
  const unsigned c = ClassOfSize(2048);
  FullSlab early = MakeFull(owner, c);
  FullSlab late = MakeFull(owner, c);
  FullSlab other = MakeFull(owner, ClassOfSize(512));
  me.Free(early.TakeOut());
  me.Free(late.TakeOut());
  me.Free(other.TakeOut());
  me.Free(early.TakeOut());
  GiveCredit(*me, c);
  Block* const first = me.Refill(c);
  EXPECT_TRUE(IsOf(first, late));
  EXPECT_EQ(me->alloc(c), nullptr);
  Block* const second = me.Refill(c);
  EXPECT_TRUE(IsOf(second, early));
  Block* const third = me.Allocate(c);
  EXPECT_TRUE(IsOf(third, early)) << "all that waited of a slab comes along";
  EXPECT_EQ(me->counters.remote_pushes.value(), 0u);
  EXPECT_EQ(me->counters.takeovers.value(), 2u);
  EXPECT_EQ(me->counters.refills.value(), 0u) << "no slab was asked";
  EXPECT_TRUE(WaitsInOutbox(*me, *other.slab)) << "of another class";
  Block* const own = me.Refill(c);
  EXPECT_EQ(address_map::SlabOf(own)->owner(), me->who.id);
  for (Block* block : {first, second, third, own}) me.Free(block);
  for (const FullSlab& full : {early, late, other}) me.Free(full.out);
}

TEST_F(ForeignBlocksTest, BlocksThatShareACacheLineGoHome) {
  for (const size_t size : {16, 48, 96, 144, 288}) {
    TestHeap owner;
    TestHeap me;
    const unsigned c = ClassOfSize(size);
    FullSlab full = MakeFull(owner, c);
    std::vector<Block*> used;
    for (int i = 0; i < 100; ++i) {
      me.Free(full.TakeOut());
      used.push_back(me.Allocate(c));
      EXPECT_FALSE(IsOf(used.back(), full)) << size;
    }
    EXPECT_GT(full.slab->PeekRemote().count, 0u) << size;
    me.Free(used);
    me.Free(full.out);
  }
}

// Not more of them than blocks have come out of slabs: with few of its own a thread would go the slow way for ever.
TEST_F(ForeignBlocksTest, TheyAreNotMoreThanSlabsHaveBrought) {
  TestHeap owner;
  TestHeap me;
  const unsigned c = ClassOfSize(512);
  me->rest->foreign_credit[c] = 0;
  FullSlab full = MakeFull(owner, c);
  std::vector<Block*> used;
  uint64_t foreign = 0;
  for (int i = 0; i < 100; ++i) {
    me.Free(full.TakeOut());
    used.push_back(me.Allocate(c));
    foreign += IsOf(used.back(), full) ? 1 : 0;
    ASSERT_LE(foreign, me->counters.blocks.value());
  }
  EXPECT_GE(foreign, 30u);
  EXPECT_GE(me->counters.blocks.value(), 30u);
  me.Free(used);
  me.Free(full.out);
}

// A thread that holds foreign blocks and replaces them one by one has none of them in the end.
TEST_F(ForeignBlocksTest, TheyDwindle) {
  TestHeap owner;
  TestHeap me;
  const unsigned c = ClassOfSize(512);
  me->rest->foreign_credit[c] = 0;
  FullSlab full = MakeFull(owner, c);
  std::vector<Block*> held;
  for (int i = 0; i < 20; ++i) held.push_back(full.TakeOut());
  const auto foreign = [&] {
    return std::count_if(held.begin(), held.end(), [&](const Block* block) { return IsOf(block, full); });
  };
  const auto replace_one = [&] {
    me.Free(held.front());
    held.erase(held.begin());
    held.push_back(me.Allocate(c));
  };
  uint64_t replaced = 0;
  for (; foreign() != 0; ++replaced) {
    ASSERT_LT(replaced, 5 * held.size());
    replace_one();
  }
  EXPECT_GT(replaced, held.size()) << "some were used before";
  const uint64_t before = me->counters.remote_frees.value();
  for (int i = 0; i < 1000; ++i) replace_one();
  EXPECT_EQ(me->counters.remote_frees.value(), before);
  me.Free(held);
  me.Free(full.out);
}

TEST_F(ForeignBlocksTest, WhatIsNotUsedGoesHomeWithTheHeap) {
  TestHeap owner;
  TestHeap me;
  const unsigned c = ClassOfSize(1024);
  FullSlab full = MakeFull(owner, c);
  for (int i = 0; i < 3; ++i) me.Free(full.TakeOut());
  GiveCredit(*me, c);
  Block* const used = me.Refill(c);
  EXPECT_EQ(full.slab->PeekRemote().count, 0u);
  me.End();
  EXPECT_EQ(full.slab->PeekRemote().count, 2u);
  full.out.push_back(used);
  owner.Free(full.out);
}

// A heap that stays warm for the next thread, perhaps for long, keeps nothing of others.
TEST_F(ForeignBlocksTest, AWarmHeapHoldsNone) {
  TestHeap owner;
  const unsigned c = ClassOfSize(1024);
  FullSlab full = MakeFull(owner, c);
  Block* used = nullptr;
  Heap* heap = nullptr;
  test::RunInThread([&] {
    bool clean;
    void* const own = tiny::Allocate(ClassOfSize(64), &clean);
    heap = tls_heap;
    for (int i = 0; i < 3; ++i) tiny::Free(full.TakeOut(), *full.slab);
    GiveCredit(*heap, c);
    used = static_cast<Block*>(tiny::Allocate(c, &clean));
    EXPECT_TRUE(IsOf(used, full));
    EXPECT_NE(heap->alloc(c), nullptr);
    tiny::Free(own, *address_map::SlabOf(own));
  });
  EXPECT_EQ(heap->state.Get(), HeapState::kWarm);
  EXPECT_EQ(heap->alloc(c), nullptr);
  EXPECT_EQ(full.slab->PeekRemote().count, 2u);
  full.out.push_back(used);
  owner.Free(full.out);
}

// A block that was freed twice, others in between, is reported when the blocks are used, and is used once.
TEST_F(ForeignBlocksTest, ADoubleFreeIsFoundWhenTheBlocksAreUsed) {
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  TestHeap owner;
  TestHeap me;
  const unsigned c = ClassOfSize(512);
  FullSlab full = MakeFull(owner, c);
  Block* const twice = full.TakeOut();
  Block* const other = full.TakeOut();
  me.Free(twice);
  me.Free(other);
  me.Free(twice);
  GiveCredit(*me, c);
  testing::internal::CaptureStderr();
  Block* const first = me.Refill(c);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("double free"));
  EXPECT_EQ(Length(first), 2u);
  EXPECT_THAT((std::vector<Block*>{first, NextOf(first)}), testing::UnorderedElementsAre(twice, other));
  Block* const second = me.Allocate(c);
  me.Free(first);
  me.Free(second);
  me.Free(full.out);
}

}  // namespace
}  // namespace hakmem::tiny
