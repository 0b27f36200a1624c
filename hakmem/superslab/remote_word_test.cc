// Each transition of the remote word, and what refuses it.

#include "hakmem/superslab/remote_word.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

const auto kNoLink = [](const RemoteState&) {};

// Ids whose low bits are zero: nothing may look at a part of them only.
constexpr HeapId kHeapA = 0x010000;
constexpr HeapId kHeapB = 0x020000;

TEST(RemoteState, PacksEveryFieldInFullWidth) {
  for (const RemoteState state : {RemoteState{0, 0, kNoHeap, false}, RemoteState{0xffff, 0xffff, kRetired, true},
                                  RemoteState{1, 2, kHeapA, true}, RemoteState{0x8000, 1, kMaxHeapId, false}}) {
    const RemoteState again = RemoteState::Unpack(state.Pack());
    EXPECT_EQ(again.head, state.head);
    EXPECT_EQ(again.count, state.count);
    EXPECT_EQ(again.owner, state.owner);
    EXPECT_EQ(again.notified, state.notified);
  }
}

TEST(RemoteWord, StartsRetiredAndRefusesEverybody) {
  RemoteWord word;
  EXPECT_EQ(word.Peek().owner, kRetired);
  EXPECT_FALSE(word.Claim(kHeapA));
  EXPECT_EQ(word.Push(1, 1, kHeapA, kNoLink).outcome, PushOutcome::kRefused);
}

TEST(RemoteWord, AClaimSucceedsOnceAndOnlyWithoutOwner) {
  RemoteWord word;
  word.Reset(kHeapA);
  EXPECT_FALSE(word.Claim(kHeapB));
  ASSERT_TRUE(word.Release());
  EXPECT_TRUE(word.Claim(kHeapB));
  EXPECT_FALSE(word.Claim(kHeapA));
  EXPECT_EQ(word.Peek().owner, kHeapB);
}

TEST(RemoteWord, TheFirstPushNotifiesAndTheNextDoNot) {
  RemoteWord word;
  word.Reset(kHeapA);
  const PushResult first = word.Push(5, 2, kHeapB, kNoLink);
  EXPECT_EQ(first.outcome, PushOutcome::kNotify);
  EXPECT_EQ(first.owner, kHeapA);
  EXPECT_EQ(word.Push(7, 3, kHeapB, kNoLink).outcome, PushOutcome::kQueued);
  EXPECT_EQ(word.Peek().count, 5u);
  EXPECT_EQ(word.Peek().head, 7u);
}

TEST(RemoteWord, APushClaimsWhatNobodyOwns) {
  RemoteWord word;
  word.Reset(kHeapA);
  ASSERT_TRUE(word.Release());
  EXPECT_EQ(word.Push(3, 1, kHeapB, kNoLink).outcome, PushOutcome::kClaimed);
  EXPECT_EQ(word.Peek().owner, kHeapB);
  EXPECT_FALSE(word.Peek().notified);
  EXPECT_EQ(word.Peek().count, 1u);
}

TEST(RemoteWord, APusherWithoutHeapLeavesItUnowned) {
  RemoteWord word;
  word.Reset(kHeapA);
  ASSERT_TRUE(word.Release());
  EXPECT_EQ(word.Push(3, 1, kNoHeap, kNoLink).outcome, PushOutcome::kQueued);
  EXPECT_EQ(word.Peek().owner, kNoHeap);
}

TEST(RemoteWord, ADrainTakesAllAndKeepsTheNotification) {
  RemoteWord word;
  word.Reset(kHeapA);
  (void)word.Push(9, 4, kHeapB, kNoLink);
  const RemoteState taken = word.Drain();
  EXPECT_EQ(taken.count, 4u);
  EXPECT_EQ(taken.head, 9u);
  EXPECT_EQ(word.Peek().count, 0u);
  EXPECT_TRUE(word.Peek().notified);
  EXPECT_EQ(word.Push(1, 1, kHeapB, kNoLink).outcome, PushOutcome::kQueued);
}

TEST(RemoteWord, AnAcknowledgedSlabIsNotifiedOfAgain) {
  for (const bool take : {false, true}) {
    RemoteWord word;
    word.Reset(kHeapA);
    (void)word.Push(9, 4, kHeapB, kNoLink);
    EXPECT_EQ(word.Acknowledge(take).count, 4u);
    EXPECT_EQ(word.Peek().count, take ? 0u : 4u);
    EXPECT_FALSE(word.Peek().notified);
    EXPECT_EQ(word.Push(1, 1, kHeapB, kNoLink).outcome, PushOutcome::kNotify);
  }
}

TEST(RemoteWord, NeitherReleaseNorRetireWhileANotificationIsOnItsWay) {
  RemoteWord word;
  word.Reset(kHeapA);
  (void)word.Push(9, 4, kHeapB, kNoLink);
  EXPECT_FALSE(word.Release());
  EXPECT_FALSE(word.Retire(kHeapA, 4));
  (void)word.Acknowledge(false);
  EXPECT_FALSE(word.Retire(kHeapA, 3));
  EXPECT_FALSE(word.Retire(kHeapB, 4));
  EXPECT_TRUE(word.Retire(kHeapA, 4));
  EXPECT_EQ(word.Peek().owner, kRetired);
}

// Two threads push numbers; the owner drains, acknowledges when it was told to, and releases; whoever claims goes on.
// All numbers arrive, each once, and no notification is lost or doubled.
TEST(RemoteWord, NothingIsLostBetweenPushersAndChangingOwners) {
  constexpr int kPushers = 2;
  constexpr uint32_t kEach = 20000;
  RemoteWord word;
  word.Reset(kHeapA);
  std::atomic<uint64_t> pushed{0};
  std::atomic<uint64_t> drained{0};
  std::atomic<int> inbox{0};  // notifications on their way
  std::atomic<int> running{kPushers};
  std::vector<std::thread> threads;
  for (int t = 0; t < kPushers; ++t) {
    threads.emplace_back([&, t] {
      const HeapId me = kHeapB + static_cast<HeapId>(t);
      for (uint32_t i = 0; i < kEach; ++i) {
        if (word.Peek().count > 60000) std::this_thread::yield();
        const PushResult result = word.Push(1, 1, me, kNoLink);
        pushed.fetch_add(1, std::memory_order_relaxed);  // a count, read after the threads were joined
        if (result.outcome == PushOutcome::kNotify) {
          ASSERT_EQ(inbox.fetch_add(1, std::memory_order_acq_rel), 0) << "notified twice";
        }
        if (result.outcome == PushOutcome::kClaimed) {
          drained.fetch_add(word.Drain().count, std::memory_order_relaxed);  // ditto
          // Given back to the reader, which takes what nobody owns.
          while (!word.Release()) {
            if (inbox.exchange(0, std::memory_order_acq_rel) == 1) {
              drained.fetch_add(word.Acknowledge(true).count, std::memory_order_relaxed);  // ditto
            }
          }
        }
      }
      running.fetch_sub(1, std::memory_order_release);  // what was counted is visible to the reader
    });
  }
  bool mine = true;
  while (running.load(std::memory_order_acquire) != 0) {
    if (!mine) mine = word.Claim(kHeapA);
    if (!mine) continue;
    drained.fetch_add(word.Drain().count, std::memory_order_relaxed);  // ditto
    if (inbox.exchange(0, std::memory_order_acq_rel) == 1) {
      drained.fetch_add(word.Acknowledge(true).count, std::memory_order_relaxed);  // ditto
    }
    if (word.Release()) mine = false;
  }
  for (std::thread& thread : threads) thread.join();
  if (!mine) {
    mine = word.Claim(kHeapA);
  }
  ASSERT_TRUE(mine);
  drained.fetch_add(word.Acknowledge(true).count, std::memory_order_relaxed);                  // one thread is left
  EXPECT_EQ(drained.load(std::memory_order_relaxed), pushed.load(std::memory_order_relaxed));  // ditto
  EXPECT_EQ(pushed.load(std::memory_order_relaxed), uint64_t{kPushers} * kEach);               // ditto
}

}  // namespace
}  // namespace hakmem
