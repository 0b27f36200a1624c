// Double frees that no list notices at once: found when the list goes home, and each block goes home once. (Builds that
// keep a bit for each block find them before they come here.)

#include <cstdio>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "hakmem/tiny/give_back.h"
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
  // After `freed` of its blocks were freed, some twice: at the most those are home, each once.
  static void EndAfterRing(TestHeap& me, FullSlab& full, size_t freed) {
    OwnedSlab owned = me.Own(*full.slab);
    if (!owned.HasFree() && owned.HasRemote()) owned.Drain();
    std::set<Block*> home;
    const size_t used = owned.used();
    while (Block* block = owned.PopOne()) ASSERT_TRUE(home.insert(block).second);
    EXPECT_GE(home.size(), 1u);
    EXPECT_LE(home.size(), freed);
    EXPECT_EQ(home.size(), full.slab->geometry().capacity - used);
    for (const Block* block : full.out) EXPECT_EQ(home.count(const_cast<Block*>(block)), 0u);
    // All blocks, for the books.
    Chain all;
    for (uint32_t i = 0; i < full.slab->geometry().capacity; ++i) {
      all.PushFront(reinterpret_cast<Block*>(full.slab->base() + i * full.slab->block_size()));
    }
    owned.Push(all);
    Settle(*me, std::move(owned));
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

// Not each list is looked at: what goes home unseen is still a ring, and each block goes home once.
TEST_F(DoubleFreeTest, ARingOverSlabsThatNobodyLookedFor) {
  for (const size_t rest : {0, 1, 5}) {
    TestHeap me;
    FullSlab a = MakeFull(me, kClass);
    FullSlab b = MakeFull(me, kClass);
    std::vector<Block*> list;
    for (int i = 0; i < 4; ++i) list.push_back(a.TakeOut());
    for (int i = 0; i < 3; ++i) list.push_back(b.TakeOut());
    for (int i = 0; i < 2; ++i) list.push_back(a.TakeOut());
    for (size_t i = 0; i + 1 < list.size(); ++i) SetNext(list[i], list[i + 1]);
    SetNext(list.back(), list[rest]);
    const std::string reports = Reports([&] { GiveBack(*me, list.front()); });
    EXPECT_NE(reports.find("double free"), std::string::npos) << rest;
    EndAfterRing(me, a, 6);
    EndAfterRing(me, b, 3);
  }
}

TEST_F(DoubleFreeTest, ARingInASlabThatIsNobodysAnyMore) {
  TestHeap me;
  FullSlab full = MakeFull(me, kClass);
  std::vector<Block*> list = {full.TakeOut(), full.TakeOut(), full.TakeOut()};
  for (size_t i = 0; i < list.size(); ++i) SetNext(list[i], list[(i + 1) % list.size()]);
  ReleaseOrPlace(*me, me.Own(*full.slab));
  ASSERT_EQ(full.slab->owner(), kNoHeap);
  const std::string reports = Reports([&] { GiveBack(*me, list.front()); });
  EXPECT_NE(reports.find("double free"), std::string::npos);
  FlushOutbox(*me);
  EndAfterRing(me, full, 3);
}

// The reports stop, and so does the walk.
TEST_F(DoubleFreeTest, ARingOfWhatAreNoBlocks) {
  TestHeap me;
  FullSlab full = MakeFull(me, kClass);
  Block* const x = full.out[0];
  Block* const y = full.out[1];
  const auto inside = [](Block* block) { return reinterpret_cast<Block*>(reinterpret_cast<char*>(block) + 16); };
  SetNext(inside(x), inside(y));
  SetNext(inside(y), inside(x));
  const std::string reports = Reports([&] { GiveBack(*me, inside(x)); });
  EXPECT_NE(reports.find("found when its list went back"), std::string::npos);
  me.Free(full.out);
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

// Freed here, and by somebody else with all others of its slab.
TEST_F(DoubleFreeTest, WhenTheSlabHasComeToItsEnd) {
  TestHeap me;
  FullSlab full = MakeFull(me, kClass);
  FullSlab other = MakeFull(me, kClass);
  Block* const twice = full.out.back();
  Block* const behind = other.TakeOut();
  me.Free(behind);
  me.Free(twice);
  Chain chain;
  for (Block* block : full.out) {
    if (block != twice) chain.PushFront(block);
  }
  Block* const link = NextOf(twice);
  Chain again;
  again.PushFront(twice);
  PushWithoutHeap(*full.slab, chain);
  PushWithoutHeap(*full.slab, again);
  ReadInbox(*me);
  ASSERT_EQ(address_map::SlabOf(twice), nullptr);
  SetNext(twice, link);
  const std::string reports = Reports([&] { GiveBackLists(*me); });
  EXPECT_NE(reports.find(Of(twice)), std::string::npos) << reports;
  EXPECT_NE(reports.find("not in use any more"), std::string::npos) << reports;
  // What stood behind it is lost to the list.
  me.Free(behind);
  me.Free(other.out);
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
