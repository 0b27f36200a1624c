#include "hakmem/superslab/slot.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

TEST(Slot, GoesThroughItsLifeWithAGenerationForEachStep) {
  Slot slot;
  EXPECT_EQ(slot.Peek().state, SlotState::kUnused);
  uint32_t generation = slot.Peek().generation;
  for (const SlotState next : {SlotState::kActive, SlotState::kEmpty, SlotState::kActive, SlotState::kUnused}) {
    ASSERT_TRUE(slot.Change(slot.Peek(), next));
    EXPECT_EQ(slot.Peek().state, next);
    EXPECT_EQ(slot.Peek().generation, ++generation);
  }
}

TEST(Slot, RefusesWhoRemembersAnEarlierLife) {
  Slot slot;
  ASSERT_TRUE(slot.Change(slot.Peek(), SlotState::kActive));
  ASSERT_TRUE(slot.Change(slot.Peek(), SlotState::kEmpty));
  const SlotValue remembered = slot.Peek();
  ASSERT_TRUE(slot.Change(remembered, SlotState::kActive));
  ASSERT_TRUE(slot.Change(slot.Peek(), SlotState::kEmpty));
  EXPECT_EQ(slot.Peek().state, remembered.state);
  EXPECT_FALSE(slot.Change(remembered, SlotState::kActive));
}

TEST(Slot, OneOfManyTakesIt) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  Slot slot;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        const SlotValue value = slot.Peek();
        if (value.state == SlotState::kActive || !slot.Change(value, SlotState::kActive)) continue;
        ASSERT_EQ(taken.fetch_add(1, std::memory_order_relaxed), 0);  // the slot orders
        taken.fetch_sub(1, std::memory_order_relaxed);                // ditto
        ASSERT_TRUE(slot.Change(slot.Peek(), SlotState::kEmpty));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NE(slot.Peek().state, SlotState::kActive);
}

}  // namespace
}  // namespace hakmem
