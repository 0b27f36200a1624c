// Alloc lists that share a class: each step of 16 bytes has a list, but above 256 bytes not each has a class.

#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"
#include "hakmem/tiny/tiny.h"

namespace hakmem::tiny {
namespace {

// 576 to 624 and 640 bytes: one class.
constexpr unsigned kClass = 40;
constexpr unsigned kLists[] = {37, 38, 39, 40};
static_assert(ClassOfList(kLists[0]) == kClass && ListsOf(kClass) == std::size(kLists));

class SharedListsTest : public HeapTest {
 protected:
  static Block* Get(TestHeap& heap, unsigned list) { return heap.Allocate(list); }
  static void* TryGet(TestHeap& heap, unsigned list) {
    return heap.Drive([list] { return TryAllocate(list); });
  }
};

TEST_F(SharedListsTest, ARefillGoesToTheListThatAsked) {
  TestHeap me;
  Block* const block = Get(me, 37);
  const Slab* slab = address_map::SlabOf(block);
  EXPECT_EQ(slab->size_class(), kClass);
  EXPECT_EQ(slab->block_size(), 640u);
  // A page of them.
  EXPECT_EQ(Length(me->alloc(37)), 4096u / 640 - 1);
  EXPECT_EQ(me->alloc(kClass), nullptr);
  me.Free(block);
  EXPECT_EQ(me->free(kClass).head, block) << "freed to the list of the class";
  EXPECT_EQ(me->free(37).head, nullptr);
}

TEST_F(SharedListsTest, OneHelpsTheOtherBeforeASlabIsAsked) {
  TestHeap me;
  std::set<Block*> blocks;
  blocks.insert(Get(me, 37));
  const size_t left = Length(me->alloc(37));
  const uint64_t refills = me->counters.refills.value();
  // From each of the other lists in turn: the same page serves them all.
  for (size_t i = 0; i < left; ++i) ASSERT_TRUE(blocks.insert(Get(me, kLists[i % 4])).second) << i;
  EXPECT_EQ(me->counters.refills.value(), refills);
  for (const unsigned list : kLists) EXPECT_EQ(me->alloc(list), nullptr);
  EXPECT_EQ(TryGet(me, 39), nullptr);
  for (Block* block : blocks) me.Free(block);
}

TEST_F(SharedListsTest, WhatIsLentIsBounded) {
  TestHeap me;
  std::vector<Block*> blocks;
  while (blocks.size() < 100 || me->alloc(kClass) != nullptr) blocks.push_back(Get(me, kClass));
  me.Free(blocks);
  // The free list as a whole goes to who asks first.
  blocks = {Get(me, 38)};
  EXPECT_EQ(me->free(kClass).head, nullptr);
  const size_t had = Length(me->alloc(38));
  ASSERT_GE(had, 60u);
  // The next one gets 4 KiB of it.
  blocks.push_back(Get(me, 39));
  const size_t lent = Length(me->alloc(39));
  EXPECT_EQ(lent, (4096 + 39 * 16 - 1) / (39 * 16));
  EXPECT_EQ(Length(me->alloc(38)), had - 1 - lent);
  me.Free(blocks);
}

TEST_F(SharedListsTest, AllOfThemGoHome) {
  TestHeap me;
  std::vector<Block*> blocks;
  for (int i = 0; i < 40; ++i) blocks.push_back(Get(me, kLists[i % 4]));
  Slab* const slab = address_map::SlabOf(blocks[0]);
  me.Free(blocks);
  blocks = {Get(me, 37), Get(me, 38)};
  GiveBackLists(*me);
  for (const unsigned list : kLists) EXPECT_EQ(me->alloc(list), nullptr);
  EXPECT_EQ(me.Own(*slab).used(), 2u);
  me.Free(blocks);
}

TEST_F(SharedListsTest, OthersTakeNothingFromThem) {
  TestHeap me;
  Block* const block = Get(me, kClass);
  ASSERT_NE(me->alloc(kClass), nullptr);
  for (const unsigned list : {35u, 36u, 41u, 44u, 16u, 65u}) EXPECT_EQ(TryGet(me, list), nullptr) << list;
  me.Free(block);
}

}  // namespace
}  // namespace hakmem::tiny
