// The list of EMPTY slots: a slot is in it once at most, and no slot is lost or taken twice by several threads.

#include "hakmem/shared_pool/empty_list.h"

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace hakmem::pool {
namespace {

TEST(EmptyListTest, GivesBackWhatWasAddedOnce) {
  const auto superslab = std::make_unique<Superslab>();
  EmptyList list;
  EXPECT_EQ(list.Take(), nullptr);
  for (unsigned i = 0; i < EmptyList::kMost; ++i) {
    EXPECT_TRUE(list.HasRoom()) << i;
    list.Add(superslab->slabs[i]);
    list.Add(superslab->slabs[i]);  // in the list already
  }
  EXPECT_FALSE(list.HasRoom());
  std::set<Slab*> taken;
  while (Slab* slab = list.Take()) ASSERT_TRUE(taken.insert(slab).second);
  EXPECT_EQ(taken.size(), EmptyList::kMost);
  EXPECT_TRUE(list.HasRoom());
}

TEST(EmptyListTest, ThreadsHoldASlotOneAtATimeAndLoseNone) {
  const auto superslab = std::make_unique<Superslab>();
  EmptyList list;
  for (unsigned i = 0; i < EmptyList::kMost; ++i) list.Add(superslab->slabs[i]);
  std::atomic<int> holders[EmptyList::kMost] = {};
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        Slab* slab = list.Take();
        if (slab == nullptr) continue;
        std::atomic<int>& held = holders[slab - superslab->slabs];
        // Relaxed, three times: the list alone is to order the holders.
        if (held.fetch_add(1, std::memory_order_relaxed) != 0) shared.fetch_add(1, std::memory_order_relaxed);
        held.fetch_sub(1, std::memory_order_relaxed);
        list.Add(*slab);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.load(), 0);
  std::set<Slab*> taken;
  while (Slab* slab = list.Take()) ASSERT_TRUE(taken.insert(slab).second);
  EXPECT_EQ(taken.size(), EmptyList::kMost);
}

}  // namespace
}  // namespace hakmem::pool
