// The adoption board: a node is in one list at most, and in that of what it is now.

#include "hakmem/mmap_gate/adoption.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"
#include "testing/support/threads.h"

namespace hakmem {
namespace {

class AdoptionBoardTest : public testing::Test {
 protected:
  void Post(size_t list, AdoptionNode& node) {
    board_.Post(&node, [list] { return list; });
  }
  AdoptionNode* Take(size_t list) {
    return board_.Take(list, [](AdoptionNode*) { return true; });
  }
  AdoptionBoard<4> board_;
  AdoptionNode nodes_[3];
};

TEST_F(AdoptionBoardTest, TheLastOnePostedIsTakenFirst) {
  EXPECT_EQ(Take(1), nullptr);
  for (AdoptionNode& node : nodes_) Post(1, node);
  EXPECT_EQ(Take(0), nullptr);
  for (int i = 2; i >= 0; --i) EXPECT_EQ(Take(1), &nodes_[i]);
  EXPECT_EQ(Take(1), nullptr);
}

TEST_F(AdoptionBoardTest, ANodeIsListedOnce) {
  Post(1, nodes_[0]);
  Post(1, nodes_[1]);
  Post(1, nodes_[0]);
  EXPECT_EQ(Take(1), &nodes_[1]);
  EXPECT_EQ(Take(1), &nodes_[0]);
  EXPECT_EQ(Take(1), nullptr);
  Post(1, nodes_[0]);
  EXPECT_EQ(Take(1), &nodes_[0]) << "and anew once it was taken";
}

TEST_F(AdoptionBoardTest, ANodeThatIsSomethingElseNowMoves) {
  for (AdoptionNode& node : nodes_) Post(1, node);
  Post(2, nodes_[1]);  // out of the middle
  EXPECT_EQ(Take(2), &nodes_[1]);
  EXPECT_EQ(Take(2), nullptr);
  Post(3, nodes_[2]);  // from the front
  Post(3, nodes_[0]);  // the only one left
  EXPECT_EQ(Take(1), nullptr);
  EXPECT_EQ(Take(3), &nodes_[0]);
  EXPECT_EQ(Take(3), &nodes_[2]);
  EXPECT_EQ(Take(3), nullptr);
}

TEST_F(AdoptionBoardTest, WhatIsNotWantedStays) {
  Post(1, nodes_[0]);
  Post(1, nodes_[1]);
  const AdoptionNode* asked = nullptr;
  EXPECT_EQ(board_.Take(1,
                        [&asked](AdoptionNode* node) {
                          asked = node;
                          return false;
                        }),
            nullptr);
  EXPECT_EQ(asked, &nodes_[1]);
  EXPECT_EQ(Take(1), &nodes_[1]);
  EXPECT_EQ(Take(1), &nodes_[0]);
}

TEST_F(AdoptionBoardTest, OfManyThreadsOneHoldsANode) {
  struct Held : AdoptionNode {
    std::atomic<int> holders{0};
  };
  std::vector<Held> nodes(8);
  for (Held& node : nodes) Post(0, node);
  test::RunTogether(4, [&](unsigned thread) {
    for (size_t i = 0; i < 4000; ++i) {
      AdoptionNode* taken = Take((thread + i) % 4);
      if (taken == nullptr) continue;
      Held& node = *static_cast<Held*>(taken);
      ASSERT_EQ(node.holders.fetch_add(1, std::memory_order_relaxed), 0);  // the board orders
      node.holders.fetch_sub(1, std::memory_order_relaxed);                // ditto
      Post(i % 4, node);
    }
  });
  size_t left = 0;
  for (size_t list = 0; list < 4; ++list) {
    while (Take(list) != nullptr) ++left;
  }
  EXPECT_EQ(left, nodes.size());
}

}  // namespace
}  // namespace hakmem
