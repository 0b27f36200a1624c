// What a token may do, and the counting equation: blocks out + blocks home + uncarved = capacity.

#include "hakmem/superslab/owned_slab.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/superslab/test_superslab.h"

namespace hakmem {
namespace {

constexpr Claimant kOwner = {0x010000, 0, 0};
constexpr Claimant kOther = {0x020000, 0, 0};

class OwnedSlabTest : public testing::Test {
 protected:
  OwnedSlab Own(unsigned size_class, unsigned slot = 0) {
    return OwnedSlab::SetUp(superslab_->slabs[slot], kOwner, size_class, true);
  }
  // Takes everything that was never handed out.
  static std::vector<Block*> CarveAll(OwnedSlab& owned) {
    std::vector<Block*> blocks;
    while (owned.HasUncarved()) {
      bool clean;
      for (Block* block : BlocksOf(owned.Carve(UINT32_MAX, &clean))) blocks.push_back(block);
    }
    return blocks;
  }

  TestSuperslab superslab_;
};

TEST_F(OwnedSlabTest, CarvesEachBlockOnceAndAPageAtATime) {
  for (const unsigned c : {1u, 5u, 64u, ClassOfSize(3000), ClassOfSize(40000), kClasses - 1}) {
    OwnedSlab owned = Own(c);
    Slab& slab = owned.slab();
    const SizeClass& row = kSizeClasses[c];
    bool clean = false;
    const Chain first = owned.Carve(UINT32_MAX, &clean);
    EXPECT_TRUE(clean);
    EXPECT_LE(first.count, 1 + (size_t{1} << kPageShift) / row.block_size) << c;
    std::vector<Block*> blocks = BlocksOf(first);
    for (Block* more : CarveAll(owned)) blocks.push_back(more);
    ASSERT_EQ(blocks.size(), row.capacity) << c;
    EXPECT_EQ(owned.used(), row.capacity);
    std::vector<bool> seen(row.capacity);
    for (Block* each : blocks) {
      ASSERT_TRUE(slab.IsBlockStart(each));
      const size_t i = row.IndexOf(static_cast<size_t>(reinterpret_cast<char*>(each) - slab.base()));
      ASSERT_FALSE(seen[i]) << c;
      seen[i] = true;
    }
    owned.Push(ChainOf(blocks));
    ASSERT_TRUE(owned.Retire());
  }
}

TEST_F(OwnedSlabTest, OnlyTheStartOfABlockIsOne) {
  OwnedSlab owned = Own(ClassOfSize(48));
  const Slab& slab = owned.slab();
  EXPECT_TRUE(slab.IsBlockStart(slab.base()));
  EXPECT_TRUE(slab.IsBlockStart(slab.base() + 48));
  EXPECT_FALSE(slab.IsBlockStart(slab.base() + 1));
  EXPECT_FALSE(slab.IsBlockStart(slab.base() + 16));
  // The rest behind the last block.
  EXPECT_FALSE(slab.IsBlockStart(slab.base() + slab.geometry().capacity * 48));
}

TEST_F(OwnedSlabTest, ASlabOfAnotherIsNotClaimed) {
  OwnedSlab owned = Own(4);
  Slab& slab = owned.slab();
  EXPECT_TRUE(OwnedSlab::Claim(slab, kOwner).has_value());
  EXPECT_FALSE(OwnedSlab::Claim(slab, kOther).has_value());
  ASSERT_TRUE(owned.Release());
  EXPECT_TRUE(OwnedSlab::Claim(slab, kOther).has_value());
  EXPECT_FALSE(OwnedSlab::Claim(slab, kOwner).has_value());
}

TEST_F(OwnedSlabTest, TheCountsAddUpWhateverHappensToTheBlocks) {
  OwnedSlab owned = Own(ClassOfSize(512));
  Slab& slab = owned.slab();
  std::vector<Block*> blocks = CarveAll(owned);
  ASSERT_EQ(blocks.size(), 128u);
  const std::vector<Block*> ours(blocks.begin(), blocks.begin() + 30);
  const std::vector<Block*> theirs(blocks.begin() + 30, blocks.begin() + 50);
  const std::vector<Block*> late(blocks.begin() + 50, blocks.begin() + 55);
  owned.Push(ChainOf(ours));
  EXPECT_EQ(owned.used(), 98u);
  HeapId notify = kNoHeap;
  EXPECT_FALSE(OwnedSlab::PushRemote(slab, ChainOf(theirs), kOther, &notify).has_value());
  EXPECT_EQ(notify, kOwner.id);
  EXPECT_EQ(owned.used(), 78u);
  EXPECT_FALSE(OwnedSlab::PushRemote(slab, ChainOf(late), kOther, &notify).has_value());
  EXPECT_EQ(notify, kNoHeap) << "the owner knows already";
  EXPECT_EQ(owned.used(), 73u);
  EXPECT_EQ(owned.Pop().count, 30u);
  EXPECT_EQ(owned.used(), 103u);
  EXPECT_EQ(owned.Drain(), 25u);
  EXPECT_EQ(owned.used(), 103u);
  EXPECT_NE(owned.PopOne(), nullptr);
  EXPECT_EQ(owned.used(), 104u);
}

TEST_F(OwnedSlabTest, APushIntoAnUnownedSlabMakesThePusherItsOwner) {
  OwnedSlab owned = Own(4);
  Slab& slab = owned.slab();
  std::vector<Block*> blocks = CarveAll(owned);
  ASSERT_TRUE(owned.Release());
  HeapId notify = kNoHeap;
  auto pushed = OwnedSlab::PushRemote(slab, ChainOf(blocks), kOther, &notify);
  ASSERT_TRUE(pushed.has_value());
  EXPECT_EQ(notify, kNoHeap);
  EXPECT_EQ(slab.owner(), kOther.id);
  EXPECT_TRUE(pushed->IsHome());
  EXPECT_TRUE(pushed->Retire());
  EXPECT_EQ(slab.owner(), kRetired);
  EXPECT_FALSE(OwnedSlab::Claim(slab, kOwner).has_value());
}

TEST_F(OwnedSlabTest, ASlabWithBlocksOutDoesNotRetire) {
  OwnedSlab owned = Own(4);
  bool clean;
  const Chain chain = owned.Carve(1, &clean);
  ASSERT_EQ(chain.count, 1u);
  EXPECT_FALSE(owned.Retire());
  owned.Push(chain);
  EXPECT_TRUE(owned.Retire());
}

TEST_F(OwnedSlabTest, AnAcknowledgedSlabTakesTheBlocksAndHearsOfTheNext) {
  OwnedSlab owned = Own(4);
  Slab& slab = owned.slab();
  std::vector<Block*> blocks = CarveAll(owned);
  HeapId notify = kNoHeap;
  EXPECT_FALSE(OwnedSlab::PushRemote(slab, ChainOf({blocks[0]}), kOther, &notify).has_value());
  EXPECT_EQ(owned.Acknowledge(), 1u);
  EXPECT_TRUE(owned.HasFree());
  EXPECT_FALSE(OwnedSlab::PushRemote(slab, ChainOf({blocks[1]}), kOther, &notify).has_value());
  EXPECT_EQ(notify, kOwner.id);
  // The own list is not empty: the blocks stay where they are, the notification is acknowledged all the same.
  EXPECT_EQ(owned.Acknowledge(), 0u);
  EXPECT_TRUE(owned.HasRemote());
  EXPECT_FALSE(slab.PeekRemote().notified);
}

TEST_F(OwnedSlabTest, FreePagesGoBackAndTheirBlocksAreCarvedAgain) {
  OwnedSlab owned = Own(ClassOfSize(512));
  Slab& slab = owned.slab();
  std::vector<Block*> blocks = CarveAll(owned);
  for (Block* block : blocks) memset(block, 0xab, 512);
  // Of each page but the first all blocks are free.
  std::vector<Block*> home;
  for (Block* block : blocks) {
    if (reinterpret_cast<char*>(block) - slab.base() >= 4096) home.push_back(block);
  }
  owned.Push(ChainOf(home));
  EXPECT_EQ(owned.used(), 8u);
  EXPECT_EQ(owned.PurgeFreePages(), kSlabSize - 4096);
  EXPECT_EQ(owned.used(), 8u);
  EXPECT_EQ(slab.base()[4096 + 100], 0) << "given back";
  EXPECT_EQ(static_cast<unsigned char>(slab.base()[100]), 0xab) << "in use";
  EXPECT_FALSE(owned.HasFree());
  EXPECT_EQ(CarveAll(owned).size(), home.size());
  EXPECT_EQ(owned.used(), 128u);
}

// malloc_trim passes over slabs into which nothing was freed since the last time: looking for free pages means a walk
// over all free blocks.
TEST_F(OwnedSlabTest, ASlabTellsWhetherBlocksCameHomeSinceItsPagesWentBack) {
  const unsigned c = ClassOfSize(512);
  {
    OwnedSlab before = Own(c);
    before.Push(ChainOf(CarveAll(before)));
    ASSERT_TRUE(before.Retire());
  }
  OwnedSlab owned = Own(c);
  Slab& slab = owned.slab();
  EXPECT_FALSE(slab.LooksFreed()) << "a new life";
  const std::vector<Block*> blocks = CarveAll(owned);
  EXPECT_FALSE(slab.LooksFreed());
  EXPECT_EQ(owned.PurgeFreePages(), 0u);
  owned.Push(ChainOf({blocks[0], blocks[20]}));
  EXPECT_TRUE(slab.LooksFreed());
  EXPECT_EQ(owned.PurgeFreePages(), 0u) << "no page is free";
  EXPECT_FALSE(slab.LooksFreed());
  EXPECT_NE(owned.PopOne(), nullptr);
  EXPECT_FALSE(slab.LooksFreed()) << "a block that leaves makes no page free";
  HeapId notify;
  EXPECT_FALSE(OwnedSlab::PushRemote(slab, ChainOf({blocks[40]}), kOther, &notify).has_value());
  EXPECT_TRUE(slab.LooksFreed());
  EXPECT_NE(owned.PopOne(), nullptr);
  EXPECT_EQ(owned.Acknowledge(), 1u);
  EXPECT_TRUE(slab.LooksFreed()) << "drained";
  EXPECT_EQ(owned.PurgeFreePages(), 0u);
  EXPECT_FALSE(slab.LooksFreed());
}

// Who takes one block at a time loses none of the others that come back to life with it.
TEST_F(OwnedSlabTest, BlocksOfPagesThatWereGivenBackAreCarvedAgainOneByOne) {
  OwnedSlab owned = Own(ClassOfSize(512));
  const std::vector<Block*> blocks = CarveAll(owned);
  owned.Push(ChainOf(blocks));
  EXPECT_EQ(owned.PurgeFreePages(), kSlabSize);
  std::set<Block*> taken;
  while (owned.HasFree() || owned.HasUncarved()) {
    if (!owned.HasFree()) {
      bool clean;
      const Chain chain = owned.Carve(1, &clean);
      ASSERT_EQ(chain.count, 1u);
      EXPECT_TRUE(taken.insert(chain.first).second);
    } else {
      EXPECT_TRUE(taken.insert(owned.PopOne()).second);
    }
    EXPECT_EQ(owned.used(), taken.size());
  }
  EXPECT_EQ(taken.size(), blocks.size());
}

TEST_F(OwnedSlabTest, ANewLifeHasItsOwnGeometry) {
  Slab& slab = superslab_->slabs[0];
  {
    OwnedSlab owned = Own(ClassOfSize(40000));
    EXPECT_GT(slab.span(), 1u);
    EXPECT_EQ(&superslab_->SlabAt(slab.base() + kSlabSize), &slab);
    ASSERT_TRUE(owned.Retire());
  }
  OwnedSlab owned = Own(2);
  EXPECT_EQ(slab.span(), 1u);
  EXPECT_EQ(slab.block_size(), 32u);
  EXPECT_EQ(owned.used(), 0u);
  EXPECT_TRUE(owned.HasUncarved());
  OwnedSlab next = Own(3, 1);
  EXPECT_EQ(&superslab_->SlabAt(slab.base() + kSlabSize), &next.slab());
}

}  // namespace
}  // namespace hakmem
