// Alloc lists that share a class: each step of 16 bytes has a list, but above 256 bytes not each has a class.

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/platform/poison.h"
#include "hakmem/tiny/give_back.h"
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
  std::vector<Block*> blocks;
  const Slab* slab = nullptr;
  const auto refill = [&] {
    blocks.push_back(Get(me, 37));
    slab = address_map::SlabOf(blocks.back());
    EXPECT_EQ(slab->size_class(), kClass);
    EXPECT_EQ(slab->block_size(), 640u);
    EXPECT_EQ(me->alloc(kClass), nullptr);
    const size_t made = Length(me->alloc(37)) + 1;
    for (size_t i = 1; i < made; ++i) blocks.push_back(Get(me, 37));
    EXPECT_EQ(me->alloc(37), nullptr);
    return made;
  };
  // Few at first, then as many as before, up to a page border.
  EXPECT_EQ(refill(), 2u);
  EXPECT_EQ(refill(), 2u);
  EXPECT_EQ(refill(), 4096u / 640 - 4);
  Block* const block = blocks.back();
  blocks.pop_back();
  me.Free(block);
  EXPECT_EQ(me->free(kClass).head, block) << "freed to the list of the class";
  EXPECT_EQ(me->free(37).head, nullptr);
  me.Free(blocks);
}

TEST_F(SharedListsTest, WhatWasFreedIsTakenAtOnce) {
  TestHeap me;
  const auto take = [&](size_t size) {
    HAK_OPAQUE(size);  // not to be computed while it is compiled
    return me.Drive([size] { return TryAllocateFreed(size); });
  };
  EXPECT_EQ(take(600), nullptr) << "nothing was freed";
  std::vector<Block*> blocks;
  do {
    blocks.push_back(Get(me, 38));
  } while (me->alloc(38) != nullptr || blocks.size() < 3);
  EXPECT_EQ(take(600), nullptr);
  const uint64_t takeovers = me->counters.takeovers.value();
  for (size_t i = 0; i < 3; ++i) me.Free(blocks[i]);
  EXPECT_EQ(take(1025), nullptr);
  EXPECT_EQ(take(size_t{1} << 40), nullptr);
  EXPECT_EQ(take(0), nullptr);
  EXPECT_EQ(take(SIZE_MAX), nullptr);
  EXPECT_EQ(take(16), nullptr) << "of another class";
  EXPECT_EQ(TryAllocateFreed(600), nullptr) << "of a thread that has not started";
  EXPECT_EQ(take(600), blocks[2]);
  EXPECT_EQ(me->alloc(38), blocks[1]);
  EXPECT_EQ(NextOf(me->alloc(38)), blocks[0]);
  EXPECT_EQ(NextOf(blocks[0]), nullptr);
  EXPECT_EQ(me->free(kClass).head, nullptr);
  EXPECT_EQ(me->free(kClass).filled, ThreadPointer() + kMaxListLength - ListCapacity(kClass)) << "empty";
  EXPECT_EQ(me->counters.takeovers.value(), takeovers + 1);
  EXPECT_FALSE(me->busy);
  me.Free(blocks[2]);
  for (size_t i = 3; i < blocks.size(); ++i) me.Free(blocks[i]);
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

// Lists that lend each other blocks get each a part of those that were never handed out.
TEST_F(SharedListsTest, NewBlocksAreForAllThatAreInUse) {
  TestHeap me;
  me->grown.Add(kClass);  // two pages at a time
  std::set<Block*> blocks{Get(me, 37)};
  EXPECT_EQ(Length(me->alloc(37)), 8192u / 640 - 1);
  EXPECT_EQ(me->alloc(38), nullptr);
  for (size_t left = Length(me->alloc(37)); left > 0; --left) blocks.insert(Get(me, 38));
  ASSERT_EQ(me->alloc(37), nullptr);
  ASSERT_EQ(me->alloc(38), nullptr);
  blocks.insert(Get(me, 39));
  size_t made = 1;
  for (const unsigned list : kLists) {
    EXPECT_GE(Length(me->alloc(list)), 1u) << list;
    made += Length(me->alloc(list));
  }
  EXPECT_EQ(made, 3 * 4096u / 640 - 8192u / 640) << "up to a page border";
  for (const unsigned list : kLists) {
    while (me->alloc(list) != nullptr) ASSERT_TRUE(blocks.insert(Get(me, list)).second);
  }
  for (Block* block : blocks) me.Free(block);
}

// In turn: what the lists hand out at a time lies close together.
TEST_F(SharedListsTest, NewBlocksAreDealt) {
  TestHeap me;
  me->grown.Add(kClass);
  me->lent.Add(kClass);
  std::vector<Block*> blocks{Get(me, kClass)};
  Slab* const slab = address_map::SlabOf(blocks[0]);
  const size_t made = 1 + Length(me->alloc(37)) + Length(me->alloc(38)) + Length(me->alloc(39)) + Length(me->alloc(40));
  ASSERT_EQ(made, 8192u / 640);
  const unsigned turns[] = {kClass, 39, 38, 37};
  for (size_t i = 1; i < made; ++i) {
    ASSERT_NE(me->alloc(turns[(i - 1) % 4]), nullptr) << i;
    blocks.push_back(Get(me, turns[(i - 1) % 4]));
    EXPECT_EQ(reinterpret_cast<char*>(blocks[i]), slab->base() + i * 640);
  }
  me.Free(blocks);
}

// Those of a page that was given back stand in another order.
TEST_F(SharedListsTest, BlocksOfPurgedPagesAreHandedOutOnce) {
  TestHeap me;
  me->grown.Add(kClass);
  me->lent.Add(kClass);
  FullSlab full = MakeFull(me, kClass);
  // Every other run of 16 goes home, so that pages between are given back.
  std::vector<Block*> out;
  Chain home;
  for (size_t i = 0; i < full.out.size(); ++i) {
    if (i / 16 % 2 == 0) {
      home.PushFront(full.out[i]);
    } else {
      out.push_back(full.out[i]);
    }
  }
  const size_t freed = full.out.size() - out.size();
  OwnedSlab owned = me.Own(*full.slab);
  owned.Push(home);
  ASSERT_GT(owned.PurgeFreePages(), 0u);
  Unplace(*me, owned);
  Place(*me, owned);
  const auto fill = [](Block* block) {
    Unpoison(block, 640);  // the interface would
    memset(static_cast<void*>(block), 0x55, 640);
  };
  for (Block* block : out) fill(block);
  for (size_t i = 0; i < freed; ++i) {
    out.push_back(Get(me, kLists[i % 4]));
    ASSERT_EQ(address_map::SlabOf(out.back()), full.slab) << i;
    fill(out.back());
  }
  const std::set<Block*> blocks(out.begin(), out.end());
  EXPECT_EQ(blocks.size(), out.size());
  for (Block* block : blocks) {
    const auto* bytes = reinterpret_cast<const char*>(block);
    ASSERT_EQ(std::count(bytes, bytes + 640, 0x55), 640);
  }
  for (Block* block : blocks) me.Free(block);
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
