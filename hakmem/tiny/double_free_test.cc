// Double frees that no list notices at once: found when the list goes home, and each block goes home once. (Builds that
// keep a bit for each block find them before they come here.)

#include <cstdio>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "hakmem/tiny/test_heap.h"

namespace hakmem::tiny {
namespace {

const unsigned kClass = ClassOfSize(64);

class DoubleFreeTest : public HeapTest {
 protected:
  void SetUp() override {
    HeapTest::SetUp();
    g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  }
  // What is reported meanwhile.
  template <class Action>
  static std::string Reports(Action action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
  }
  static std::string Of(const void* p) {
    char text[80];
    snprintf(text, sizeof(text), "free(%p): block that is free already (double free)", p);
    return text;
  }
};

TEST_F(DoubleFreeTest, WithOthersInBetween) {
  for (const size_t before : {0, 1, 5}) {
    for (const size_t between : {1, 2, 3, 7, 40}) {
      for (const size_t after : {0, 1, 30}) {
        TestHeap me;
        FullSlab full = MakeFull(me, kClass);
        const auto free_some = [&](size_t n) {
          for (size_t i = 0; i < n; ++i) me.Free(full.TakeOut());
        };
        free_some(before);
        Block* const twice = full.TakeOut();
        me.Free(twice);
        free_some(between);
        me.Free(twice);
        free_some(after);
        const std::string reports = Reports([&] { GiveBackLists(*me); });
        EXPECT_NE(reports.find(Of(twice)), std::string::npos) << before << " " << between << " " << after << reports;
        // Those freed before the first time are lost: the link to them was.
        EXPECT_EQ(me.Own(*full.slab).used(), full.out.size() + before);
        OwnedSlab owned = me.Own(*full.slab);
        std::set<Block*> home;
        while (Block* block = owned.PopOne()) ASSERT_TRUE(home.insert(block).second);
        EXPECT_EQ(home.size(), 1 + between + after);
        // All blocks, for the books.
        Chain all;
        for (uint32_t i = 0; i < full.slab->geometry().capacity; ++i) {
          all.PushFront(reinterpret_cast<Block*>(full.slab->base() + i * full.slab->block_size()));
        }
        owned.Push(all);
        Settle(*me, std::move(owned));
      }
    }
  }
}

TEST_F(DoubleFreeTest, OverSeveralSlabs) {
  TestHeap me;
  FullSlab a = MakeFull(me, kClass);
  FullSlab b = MakeFull(me, kClass);
  Block* const twice = a.TakeOut();
  me.Free({twice, b.TakeOut(), a.TakeOut(), b.TakeOut(), twice, b.TakeOut()});
  const std::string reports = Reports([&] { GiveBackLists(*me); });
  EXPECT_NE(reports.find(Of(twice)), std::string::npos) << reports;
  EXPECT_EQ(me.Own(*a.slab).used(), a.out.size());
  EXPECT_EQ(me.Own(*b.slab).used(), b.out.size());
  me.Free(a.out);
  me.Free(b.out);
}

// A list that lends some of a short ring to another one of its class.
TEST_F(DoubleFreeTest, InListsThatShareAClass) {
  constexpr unsigned kLender = 33;
  constexpr unsigned kSharedClass = 36;
  static_assert(ClassOfList(kLender) == kSharedClass);
  for (const size_t between : {1, 2, 3}) {
    for (const size_t after : {0, 1, 2}) {
      TestHeap me;
      FullSlab full = MakeFull(me, kSharedClass);
      const auto free_some = [&](size_t n) {
        for (size_t i = 0; i < n; ++i) me.Free(full.TakeOut());
      };
      Block* const twice = full.TakeOut();
      me.Free(twice);
      free_some(between);
      me.Free(twice);
      free_some(after);
      ASSERT_NE(me.Allocate(kLender), nullptr);
      const std::string reports = Reports([&] { ASSERT_NE(me.Allocate(kSharedClass), nullptr); });
      EXPECT_NE(reports.find("double free"), std::string::npos) << between << " " << after << reports;
      GiveBackLists(*me);
      OwnedSlab owned = me.Own(*full.slab);
      std::set<Block*> home;
      while (Block* block = owned.PopOne()) EXPECT_TRUE(home.insert(block).second);
      // All blocks, for the books.
      Chain all;
      for (uint32_t i = 0; i < full.slab->geometry().capacity; ++i) {
        all.PushFront(reinterpret_cast<Block*>(full.slab->base() + i * full.slab->block_size()));
      }
      owned.Push(all);
      Settle(*me, std::move(owned));
    }
  }
}

TEST_F(DoubleFreeTest, ListsInOrderAreLeftAlone) {
  TestHeap me;
  FullSlab full = MakeFull(me, kClass);
  const std::string reports = Reports([&] {
    for (const size_t length : {1, 2, 3, 4, 5, 100}) {
      for (size_t i = 0; i < length; ++i) me.Free(full.TakeOut());
      GiveBackLists(*me);
      EXPECT_EQ(me.Own(*full.slab).used(), full.out.size());
    }
  });
  EXPECT_EQ(reports, "");
  me.Free(full.out);
}

TEST_F(DoubleFreeTest, InARowByAnotherThreadsHeap) {
  TestHeap owner;
  TestHeap me;
  FullSlab full = MakeFull(owner, kClass);
  Block* const twice = full.TakeOut();
  me.Free(twice);
  const std::string reports = Reports([&] { me.Free(twice); });
  EXPECT_NE(reports.find(Of(twice)), std::string::npos) << reports;
  EXPECT_EQ(me->rest->outbox_bytes, 64u);
  me.Free(full.out);
}

}  // namespace
}  // namespace hakmem::tiny
