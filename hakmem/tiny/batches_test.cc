// Lists that are set aside: how many, how much, and taken back whole.

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

constexpr size_t kListBytes = 32 << 10;
constexpr size_t kBatchBytes = 128 << 10;
// The largest list: four of 1 KiB share it.
constexpr size_t kMostListBytes = 4 * kListBytes;
constexpr size_t kAllBatchesBytes = 256 << 10;

class BatchesTest : public HeapTest {
 protected:
  static std::vector<Block*> Take(TestHeap& heap, unsigned c, size_t count) {
    std::vector<Block*> blocks(count);
    for (Block*& block : blocks) block = heap.Allocate(c);
    return blocks;
  }
};

TEST_F(BatchesTest, AListIsBoundedInBlocksAndInBytes) {
  for (unsigned c = 1; c < kListedClasses; ++c) {
    const uint32_t capacity = ListCapacity(c);
    if (!IsClass(c)) {
      EXPECT_EQ(capacity, 0u) << c;
      continue;
    }
    const size_t most = ListsOf(c) * kListBytes;
    const size_t bytes = capacity * size_t{kSizeClasses[c].block_size};
    if (bytes > most) {
      EXPECT_LE(capacity, 8u) << c;
      EXPECT_LE(bytes, kBatchBytes) << c << ": no batch could be set aside";
    }
    EXPECT_GE(capacity, 4u) << c;
    if (bytes <= kBatchBytes / 2) EXPECT_GE(capacity, 8u) << c;
    EXPECT_LE(capacity, kMaxListLength) << c;
    g_options.tiny_fast_cap = 7;
    EXPECT_LE(ListCapacity(c), 7u) << c;
    g_options.tiny_fast_cap = kMaxListLength;
  }
  EXPECT_EQ(ListCapacity(0), 0u);
  EXPECT_EQ(ListCapacity(kMaxListedClass + 1), 0u);
}

TEST_F(BatchesTest, AFullListIsSetAsideAndComesBackWhole) {
  TestHeap me;
  const unsigned c = ClassOfSize(2048);
  const uint32_t capacity = ListCapacity(c);
  ASSERT_EQ(capacity, 16u);
  const std::vector<Block*> blocks = Take(me, c, 2 * capacity + 1);
  GiveBackLists(*me);
  const uint64_t refills = me->counters.refills.value();
  const uint64_t flushed = me->counters.flushed.value();
  me.Free(blocks);
  EXPECT_EQ(me->rest->batch_count[c], 2u);
  EXPECT_EQ(me->rest->batch_bytes, 2 * kListBytes);
  EXPECT_EQ(me->counters.flushed.value(), flushed) << "no slab was touched";

  // The block in the list first, then the lists set aside, the last one first.
  for (size_t i = blocks.size(); i-- > 0;) ASSERT_EQ(me.Allocate(c), blocks[i]) << i;
  EXPECT_EQ(me->counters.refills.value(), refills);
  EXPECT_EQ(me->rest->batch_count[c], 0u);
  EXPECT_EQ(me->rest->batch_bytes, 0u);
  me.Free(blocks);
}

TEST_F(BatchesTest, WhatIsBeyondTheBoundOfAClassGoesHome) {
  for (const size_t size : {size_t{64}, size_t{2048}, size_t{32768}}) {
    TestHeap me;
    const unsigned c = ClassOfSize(size);
    const size_t allowed = kBatchBytes / (ListCapacity(c) * size) < 8 ? kBatchBytes / (ListCapacity(c) * size) : 8;
    const std::vector<Block*> blocks = Take(me, c, (allowed + 4) * ListCapacity(c));
    GiveBackLists(*me);
    const uint64_t flushed = me->counters.flushed.value();
    me.Free(blocks);
    EXPECT_EQ(me->rest->batch_count[c], allowed) << size;
    EXPECT_EQ(me->counters.flushed.value() - flushed, 3u * ListCapacity(c)) << size;
  }
}

TEST_F(BatchesTest, AllClassesTogetherAreBounded) {
  TestHeap me;
  std::vector<unsigned> classes;
  for (size_t size = 16; size <= 32768; size += size < 1024 ? 160 : 3000) classes.push_back(ClassOfSize(size));
  std::vector<std::vector<Block*>> blocks;
  for (const unsigned c : classes) blocks.push_back(Take(me, c, 9 * size_t{ListCapacity(c)}));
  size_t most = 0;
  for (const std::vector<Block*>& of_class : blocks) {
    for (Block* block : of_class) {
      me.Free(block);
      most = most > me->rest->batch_bytes ? most : me->rest->batch_bytes;
    }
  }
  EXPECT_GE(most, kAllBatchesBytes - kMostListBytes);
  EXPECT_LT(most, kAllBatchesBytes + kMostListBytes);

  GiveBackLists(*me);
  EXPECT_EQ(me->rest->batch_bytes, 0u);
  for (const unsigned c : classes) {
    EXPECT_EQ(me->rest->batch_count[c], 0u);
    EXPECT_EQ(me->rest->batches[c], nullptr);
    EXPECT_EQ(me->alloc(c), nullptr);
    EXPECT_EQ(me->free(c).head, nullptr);
  }
}

// What is in lists of a class: whether there is anything.
bool HasListed(TestHeap& heap, unsigned c) {
  return heap->alloc(c) != nullptr || heap->free(c).head != nullptr || heap->rest->batches[c] != nullptr;
}

TEST_F(BatchesTest, ListsThatWereNotUsedForARoundGoHome) {
  const unsigned cold = ClassOfSize(64);
  const unsigned used = ClassOfSize(128);
  constexpr unsigned kLooks = 3 * kListedClasses;
  enum Use { kTakesOver, kSetsAside, kRefills, kNothing };
  for (const Use use : {kTakesOver, kSetsAside, kRefills, kNothing}) {
    TestHeap me;
    me.Free(Take(me, cold, ListCapacity(cold) + 1));
    ASSERT_NE(me->rest->batches[cold], nullptr);
    ASSERT_NE(me->free(cold).head, nullptr);
    std::vector<Block*> blocks = Take(me, used, use == kSetsAside ? kLooks * size_t{ListCapacity(used)} : 100);
    me.Free(blocks.back());
    blocks.pop_back();
    ASSERT_TRUE(HasListed(me, used));
    for (unsigned i = 0; i < kLooks; ++i) {
      switch (use) {
        case kTakesOver:
          for (int twice = 0; twice < 2; ++twice) me.Free(Take(me, used, 100));
          break;
        case kSetsAside:
          for (size_t left = ListCapacity(used); left != 0 && !blocks.empty(); --left) {
            me.Free(blocks.back());
            blocks.pop_back();
          }
          break;
        case kRefills:
          for (const uint64_t before = me->counters.refills.value(); me->counters.refills.value() == before;) {
            blocks.push_back(me.Allocate(used));
          }
          break;
        case kNothing: break;
      }
      GiveBackCold(*me);
      if (use != kNothing) ASSERT_TRUE(HasListed(me, used)) << use << " " << i;
    }
    EXPECT_FALSE(HasListed(me, cold)) << use;
    EXPECT_EQ(HasListed(me, used), use != kNothing) << use;
    me.Free(blocks);
  }
}

TEST_F(BatchesTest, RefillsLookForListsThatAreNotUsed) {
  TestHeap me;
  const unsigned cold = ClassOfSize(64);
  const unsigned used = ClassOfSize(2048);
  me.Free(Take(me, cold, ListCapacity(cold) + 1));
  std::vector<Block*> blocks;
  while (HasListed(me, cold) && blocks.size() < 20'000) blocks.push_back(me.Allocate(used));
  EXPECT_FALSE(HasListed(me, cold));
  EXPECT_GT(me->counters.refills.value(), 64u) << "not at once";
  me.Free(blocks);
}

TEST_F(BatchesTest, WhatGoesHomeAndIsWantedAgainStaysNextTime) {
  TestHeap me;
  std::vector<unsigned> classes;
  for (size_t size = 16; size <= 256; size += 16) classes.push_back(ClassOfSize(size));
  // About 1 MiB in 16 classes, each below the bound of a class.
  const auto allocate = [&] {
    std::vector<std::vector<Block*>> blocks;
    for (const unsigned c : classes) blocks.push_back(Take(me, c, 2 * size_t{ListCapacity(c)}));
    return blocks;
  };
  uint64_t flushed = 0;
  for (int round = 0; round < 8; ++round) {
    const uint64_t before = me->counters.flushed.value();
    for (const std::vector<Block*>& of_class : allocate()) me.Free(of_class);
    flushed = me->counters.flushed.value() - before;
    if (round == 0) EXPECT_NE(flushed, 0u) << "more than a heap may set aside at first";
  }
  EXPECT_EQ(flushed, 0u) << "a load that takes again what it frees has room for it";
}

TEST_F(BatchesTest, AHeapThatOnlyFreesLosesTheRoom) {
  TestHeap me;
  const unsigned c = ClassOfSize(256);
  std::vector<std::vector<Block*>> more;
  for (size_t size = 272; size <= 1024; size += 16) more.push_back(Take(me, ClassOfSize(size), 64));
  const std::vector<Block*> blocks = Take(me, c, 64 * size_t{ListCapacity(c)});
  me->rest->batch_extra = size_t{4} << 20;
  for (const std::vector<Block*>& of_class : more) me.Free(of_class);
  me.Free(blocks);
  EXPECT_LE(me->rest->batch_extra, (size_t{4} << 20) - 50 * kListBytes / 2);
  for (int i = 0; i < 8; ++i) me.Free(Take(me, ClassOfSize(2048), 8 * size_t{ListCapacity(ClassOfSize(2048))}));
  EXPECT_LE(me->rest->batch_bytes, kAllBatchesBytes + me->rest->batch_extra + kMostListBytes);
}

// Blocks in lists would keep a slab each when a program has freed all others, in whatever order.
TEST_F(BatchesTest, SlabsThatOnlyListsKeepComeFree) {
  TestHeap me;
  const unsigned c = ClassOfSize(256);
  const size_t before = pool::GetStatistics().active_slots;
  std::vector<Block*> blocks = Take(me, c, 200 * kSlabSize / 256);
  ASSERT_GE(pool::GetStatistics().active_slots, before + 190);
  std::mt19937 random(1);
  std::shuffle(blocks.begin(), blocks.end(), random);
  me.Free(blocks);
  EXPECT_TRUE(me->pinned.Has(c));
  EXPECT_EQ(me->rest->batch_count[c], 0u);
  EXPECT_LE(pool::GetStatistics().active_slots, before + 16);
  // Who allocates of the class again has lists as before.
  blocks = Take(me, c, 2000);
  EXPECT_FALSE(me->pinned.Has(c));
  me.Free(blocks);
  EXPECT_GE(me->rest->batch_count[c], 1u);
}

// So would those that malloc takes from.
TEST_F(BatchesTest, SlabsThatTheNextBlocksKeepComeFree) {
  TestHeap me;
  const unsigned c = ClassOfSize(256);
  const size_t before = pool::GetStatistics().active_slots;
  std::vector<Block*> blocks = Take(me, c, 200 * kSlabSize / 256);
  std::mt19937 random(1);
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (uint32_t i = 0; i < ListCapacity(c); ++i) {
    me.Free(blocks.back());
    blocks.pop_back();
  }
  blocks.push_back(me.Allocate(c));  // takes over what was freed
  ASSERT_GE(Length(me->alloc(c)), 100u);
  me.Free(blocks);
  EXPECT_TRUE(me->pinned.Has(c));
  EXPECT_EQ(me->alloc(c), nullptr);
  EXPECT_LE(pool::GetStatistics().active_slots, before + 16);
}

// The frees of a program that keeps half of its blocks go to lists.
TEST_F(BatchesTest, SlabsThatTheProgramKeepsDoNotShortenLists) {
  TestHeap me;
  const unsigned c = ClassOfSize(256);
  std::vector<Block*> blocks = Take(me, c, 200 * kSlabSize / 256);
  std::mt19937 random(1);
  std::shuffle(blocks.begin(), blocks.end(), random);
  const std::vector<Block*> kept(blocks.begin() + static_cast<long>(blocks.size() / 2), blocks.end());
  blocks.resize(blocks.size() / 2);
  me.Free(blocks);
  EXPECT_FALSE(me->pinned.Has(c));
  EXPECT_GE(me->rest->batch_count[c], 1u);
  me.Free(kept);
}

TEST_F(BatchesTest, WithoutCacheEachBlockGoesHomeAtOnce) {
  g_options.tiny_fast_cap = 0;
  TestHeap me;
  const uint64_t takeovers = me->counters.takeovers.value();
  for (const size_t size : {size_t{16}, size_t{1024}, size_t{4096}}) {
    const unsigned c = ClassOfSize(size);
    EXPECT_EQ(ListCapacity(c), 0u);
    std::vector<Block*> blocks = Take(me, c, 30);
    Slab* const slab = address_map::SlabOf(blocks[0]);
    EXPECT_EQ(me->alloc(c), nullptr);
    const uint32_t before = me.Own(*slab).used();
    me.Free(blocks[0]);
    EXPECT_EQ(me->free(c).head, nullptr);
    EXPECT_EQ(me.Own(*slab).used(), before - 1);
    EXPECT_EQ(me.Allocate(c), blocks[0]) << "one path: what came home is handed out";
    me.Free(blocks);
  }
  EXPECT_EQ(me->rest->batch_bytes, 0u);
  EXPECT_EQ(me->counters.takeovers.value(), takeovers);
}

TEST_F(BatchesTest, AListOfOneBlockWorks) {
  g_options.tiny_fast_cap = 1;
  TestHeap me;
  const unsigned c = ClassOfSize(128);
  const std::vector<Block*> blocks = Take(me, c, 50);
  me.Free(blocks);
  EXPECT_LE(Length(me->free(c).head), 1u);
  EXPECT_EQ(me->rest->batch_count[c], 8u);
}

}  // namespace
}  // namespace hakmem::tiny
