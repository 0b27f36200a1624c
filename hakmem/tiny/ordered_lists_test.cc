// Lists of which neighbours are freed one after the other: what lies ahead is fetched each time they get more room.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

class OrderedListsTest : public HeapTest {
 protected:
  static constexpr unsigned kClass = ClassOfSize(512);

  void SetUp() override {
    HeapTest::SetUp();
    // As much as is set aside, and six lists more.
    blocks_.resize(8 * size_t{ListCapacity(kClass)});
    for (Block*& block : blocks_) block = me_.Allocate(kClass);
    std::sort(blocks_.begin(), blocks_.end());
    GiveBackLists(*me_);
  }
  void TearDown() override {
    me_.Free(blocks_);
    me_.End();
    HeapTest::TearDown();
  }

  bool IsOrdered() const { return me_->ordered.Has(kClass); }
  size_t Listed() const { return Length(me_->free(kClass).head); }
  // Frees the last `count` blocks, the last one first.
  void FreeDown(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      me_.Free(blocks_.back());
      blocks_.pop_back();
    }
  }
  // Frees until lists go home, which is known to be the third one that is full: two are set aside.
  void FreeUntilHome() { FreeDown(3 * size_t{ListCapacity(kClass)} + 1); }
  // In an order without neighbours.
  void Scatter() {
    std::vector<Block*> scattered;
    constexpr size_t kStep = 31;
    for (size_t start = 0; start < kStep; ++start) {
      for (size_t i = start; i < blocks_.size(); i += kStep) scattered.push_back(blocks_[i]);
    }
    blocks_ = scattered;
  }

  TestHeap me_;
  std::vector<Block*> blocks_;
};

TEST_F(OrderedListsTest, WhoFreesMoreThanIsSetAsideInOrder) {
  FreeDown(3 * size_t{ListCapacity(kClass)});
  EXPECT_FALSE(IsOrdered()) << "what is set aside was used lately";
  FreeDown(1);
  EXPECT_TRUE(IsOrdered());
}

TEST_F(OrderedListsTest, InTheOtherOrder) {
  std::reverse(blocks_.begin(), blocks_.end());
  FreeUntilHome();
  EXPECT_TRUE(IsOrdered());
}

// Blocks of lists that share a class come in pairs that have changed places.
TEST_F(OrderedListsTest, NearlyInOrder) {
  for (size_t i = 0; i + 3 < blocks_.size(); i += 4) std::swap(blocks_[i], blocks_[i + 3]);
  FreeUntilHome();
  EXPECT_TRUE(IsOrdered());
}

TEST_F(OrderedListsTest, NotWhereNoNeighboursAreFreed) {
  Scatter();
  FreeUntilHome();
  EXPECT_FALSE(IsOrdered());
}

// A list gets its room in four parts, and is as long as others in the end.
TEST_F(OrderedListsTest, RoomComesInParts) {
  FreeUntilHome();
  ASSERT_TRUE(IsOrdered());
  const uint32_t capacity = ListCapacity(kClass);
  const uint64_t flushed = me_->counters.flushed.value();
  std::vector<size_t> at;  // lengths at which the list got more room
  uint8_t left = me_->rest->parts_left[kClass];
  EXPECT_EQ(left, 3);
  for (uint32_t i = Listed(); i < capacity; ++i) {
    const size_t length = Listed();
    FreeDown(1);
    ASSERT_EQ(Listed(), length + 1);
    if (me_->rest->parts_left[kClass] == left) continue;
    left = me_->rest->parts_left[kClass];
    at.push_back(length);
  }
  EXPECT_EQ(at, (std::vector<size_t>{capacity / 4, capacity / 2, capacity / 4 * 3}));
  EXPECT_EQ(me_->counters.flushed.value(), flushed) << "no list went home early";
  FreeDown(1);
  EXPECT_EQ(Listed(), 1u);
  EXPECT_EQ(me_->counters.flushed.value() - flushed, capacity);
  EXPECT_TRUE(IsOrdered());
}

// As soon as others are freed the list gets all of its room.
TEST_F(OrderedListsTest, OrderEnds) {
  FreeUntilHome();
  ASSERT_TRUE(IsOrdered());
  Scatter();
  const uint32_t capacity = ListCapacity(kClass);
  const uint64_t flushed = me_->counters.flushed.value();
  FreeDown(capacity / 4);
  EXPECT_FALSE(IsOrdered());
  FreeDown(capacity - Listed());
  EXPECT_EQ(Listed(), capacity);
  EXPECT_EQ(me_->counters.flushed.value(), flushed);
  FreeDown(1);
  EXPECT_EQ(Listed(), 1u);
}

// A forked child counts the blocks that its lists hold as none, wherever the room stood.
TEST_F(OrderedListsTest, ACountThatStartsAnewIsNoPart) {
  FreeUntilHome();
  ASSERT_TRUE(IsOrdered());
  me_->free(kClass).filled = 0;
  FreeDown(1);
  EXPECT_EQ(Listed(), 1u) << "set aside, as any list that is not known to have room";
  EXPECT_LT(me_->free(kClass).filled - ThreadPointer(), kMaxListLength);
}

// Where lists are short there would be no room in a part. (A list may be longer than that once, in a forked child, or
// as a ring after a double free.)
TEST_F(OrderedListsTest, NotWhereListsAreShort) {
  g_options.tiny_fast_cap = 3;
  FreeDown(8 * 3 + 3);  // as many as are set aside
  me_->free(kClass).filled -= 10;
  FreeDown(10);
  const uint64_t flushed = me_->counters.flushed.value();
  FreeDown(1);
  EXPECT_GE(me_->counters.flushed.value() - flushed, 10u) << "a list of neighbours went home";
  EXPECT_FALSE(IsOrdered());
  FreeDown(5);
}

}  // namespace
}  // namespace hakmem::tiny
