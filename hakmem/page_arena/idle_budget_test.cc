#include "hakmem/page_arena/idle_budget.h"

#include "gtest/gtest.h"

namespace hakmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kKeep = 8 * kMiB;
constexpr uint64_t kDelay = 500;
constexpr uint64_t kNow = 1'000'000;

TEST(IdleBudgetTest, NothingIdleNothingToPurge) {
  IdleBudget budget;
  EXPECT_EQ(budget.Excess(kNow, 0, 0), 0u);
}

TEST(IdleBudgetTest, ABurstIsPurgedAtOnceDownToHalfOfWhatIsKept) {
  IdleBudget budget;
  budget.AddIdle(100 * kMiB, kNow);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), 96 * kMiB);
}

TEST(IdleBudgetTest, ALittleStaysUntilItIsOld) {
  IdleBudget budget;
  budget.AddIdle(kMiB, kNow);
  EXPECT_EQ(budget.Excess(kNow + kDelay - 1, kKeep, kDelay), 0u);
  EXPECT_EQ(budget.Excess(kNow + kDelay, kKeep, kDelay), kMiB);
  EXPECT_EQ(budget.Excess(kNow, kKeep, 0), kMiB);
}

TEST(IdleBudgetTest, RefaultsPutThePurgeOffUntilTimeHasPaid) {
  IdleBudget budget;
  budget.AddRefault(2 * IdleBudget::kDebtLimit);
  const uint64_t paid_ms = IdleBudget::kDebtLimit / IdleBudget::kPaidPerMs;
  budget.AddIdle(60 * kMiB, kNow);
  // The first look pays for all the time before.
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u);
  budget.AddRefault(2 * IdleBudget::kDebtLimit);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), 0u);
  EXPECT_EQ(budget.Excess(kNow + paid_ms - 1, kKeep, kDelay), 0u);
  EXPECT_NE(budget.Excess(kNow + paid_ms, kKeep, kDelay), 0u);
}

TEST(IdleBudgetTest, WhatIsTakenInsteadOfWhatWasSetAsideIsARefault) {
  constexpr size_t kMuch = 2 * IdleBudget::kDebtLimit;
  IdleBudget budget;
  budget.AddIdle(60 * kMiB, kNow);
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u);
  budget.AddFresh(kMuch);
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u) << "nothing was set aside";
  budget.AddSetAside(kMuch);
  budget.RemoveSetAside(kMuch);
  budget.AddFresh(kMuch);
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u) << "it was taken into use again";
  budget.AddSetAside(kMuch);
  EXPECT_EQ(budget.set_aside(), kMuch);
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u);
  budget.AddFresh(4 * kMuch);
  EXPECT_EQ(budget.set_aside(), 0u);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), 0u);
  const uint64_t paid_ms = (kMuch - IdleBudget::kDebtLimit) / IdleBudget::kPaidPerMs;
  EXPECT_EQ(budget.Excess(kNow + paid_ms - 1, kKeep, kDelay), 0u);
  EXPECT_NE(budget.Excess(kNow + paid_ms, kKeep, kDelay), 0u) << "no more than was set aside";
  budget.AddIdle(kMiB, kNow + paid_ms);
  budget.AddFresh(kMuch);
  EXPECT_NE(budget.Excess(kNow + paid_ms, kKeep, kDelay), 0u) << "each byte once";
  // It is taken into use again, or is no more; and so in each round.
  budget.RemoveSetAside(kMuch);
  EXPECT_EQ(budget.set_aside(), 0u);
  budget.AddSetAside(kMuch);
  budget.AddFresh(kMuch);
  EXPECT_EQ(budget.Excess(kNow + paid_ms, kKeep, kDelay), 0u);
}

TEST(IdleBudgetTest, TheBurstAfterABurstIsPurgedSoon) {
  IdleBudget budget;
  budget.AddIdle(60 * kMiB, kNow);
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u);
  budget.RemoveIdle(60 * kMiB);
  budget.AddRefault(60 * kMiB);
  const uint64_t paid_ms = (IdleBudget::kMostDebt - IdleBudget::kDebtLimit) / IdleBudget::kPaidPerMs;
  EXPECT_LT(paid_ms, 1000u);
  budget.AddIdle(60 * kMiB, kNow);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), 0u);
  EXPECT_NE(budget.Excess(kNow + paid_ms, kKeep, kDelay), 0u);
}

TEST(IdleBudgetTest, ALargeBurstOutweighsTheDebt) {
  IdleBudget budget;
  budget.AddIdle(2 * kKeep, kNow);
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u);
  budget.AddRefault(1000 * kMiB);
  const size_t enough = IdleBudget::kIdleForDebt * IdleBudget::kMostDebt;
  budget.AddIdle(enough - 2 * kKeep - kMiB, kNow);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), 0u) << "a little too small";
  budget.AddIdle(kMiB, kNow);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), enough - kKeep / 2) << "although the debt is as large as it gets";
  // The rest of the burst goes with it.
  budget.RemoveIdle(enough - kKeep / 2);
  budget.AddIdle(kKeep, kNow);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), kKeep);
  // A load that does so in each round is not purged in each.
  budget.AddRefault(enough);
  budget.AddIdle(enough, kNow);
  EXPECT_EQ(budget.Excess(kNow, kKeep, kDelay), 0u);
  budget.AddIdle(1, kNow + IdleBudget::kOutweighMs - 1);
  budget.AddRefault(enough);
  EXPECT_NE(budget.Excess(kNow + IdleBudget::kOutweighMs - 1, kKeep, kDelay), 0u) << "time has paid";
  budget.AddRefault(enough);
  EXPECT_EQ(budget.Excess(kNow + IdleBudget::kOutweighMs - 1, kKeep, kDelay), 0u);
  EXPECT_NE(budget.Excess(kNow + IdleBudget::kOutweighMs, kKeep, kDelay), 0u);
}

TEST(IdleBudgetTest, TheEndOfAPhaseForgetsTheDebt) {
  IdleBudget budget;
  constexpr size_t kIdle = 64 * kMiB;
  constexpr size_t kLittle = kIdle / IdleBudget::kIdleForUse;
  budget.AddIdle(kIdle, kNow);
  EXPECT_NE(budget.Excess(kNow, kKeep, kDelay), 0u);
  const auto is_purged_after = [&](uint64_t ms, size_t in_use) {
    budget.AddIdle(0, kNow + ms);                   // none of it gets old
    (void)budget.Excess(kNow + ms, kKeep, kDelay);  // takes what time has paid
    budget.AddRefault(1000 * kMiB);
    budget.LookForEnd(kNow + ms, in_use, kKeep);
    return budget.Excess(kNow + ms, kKeep, kDelay) != 0;
  };
  EXPECT_FALSE(is_purged_after(0, kLittle + 1));
  EXPECT_TRUE(is_purged_after(0, kLittle));
  // A load that comes back to this again and again.
  constexpr size_t kDeep = kLittle / IdleBudget::kDeeper;
  uint64_t ms = 1;
  for (; ms < 3 * IdleBudget::kPhaseMs; ms += 100) EXPECT_FALSE(is_purged_after(ms, kDeep)) << ms;
  // More over than before.
  EXPECT_TRUE(is_purged_after(ms, kDeep - 1));
  EXPECT_FALSE(is_purged_after(ms, kDeep - 1));
  EXPECT_FALSE(is_purged_after(ms + IdleBudget::kPhaseMs - 1, kLittle));
  ms += 2 * IdleBudget::kPhaseMs - 1;
  budget.SetOwnPieces(1);
  EXPECT_FALSE(is_purged_after(ms, kLittle)) << "blocks with pieces of their own count as well";
  EXPECT_TRUE(is_purged_after(ms, kLittle - 1));
  budget.SetOwnPieces(0);
  EXPECT_TRUE(is_purged_after(ms, 0));
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(is_purged_after(ms += 100, 0)) << "no less than nothing";
}

// A program beside its account: each call takes time, and what is purged is wanted again.
class Program {
 public:
  Program() { (void)budget_.Excess(now_, kKeep, kDelay); }

  void Take(size_t bytes) {
    const size_t again = bytes < budget_.idle() ? bytes : budget_.idle();
    budget_.RemoveIdle(again);
    budget_.AddRefault(bytes - again);
    in_use_ += bytes;
  }
  void Free(size_t bytes) {
    in_use_ -= bytes;
    budget_.AddIdle(bytes, now_);
    budget_.LookForEnd(now_, in_use_, kKeep);
    const size_t excess = budget_.Excess(now_, kKeep, kDelay);
    if (excess == 0) return;
    budget_.RemoveIdle(excess);
    purged_ += excess;
  }
  void Wait(uint64_t ms) { now_ += ms; }

  size_t in_use() const { return in_use_; }
  size_t idle() const { return budget_.idle(); }
  size_t purged() const { return purged_; }

 private:
  IdleBudget budget_;
  uint64_t now_ = kNow;
  size_t in_use_ = 0;
  size_t purged_ = 0;
};

TEST(IdleBudgetTest, ALoadThatComesBackToNothingIsNotPurgedInEachRound) {
  for (const size_t left : {size_t{0}, kMiB, 9 * kMiB}) {
    Program program;
    program.Take(left);
    for (int round = 0; round < 100; ++round) {
      for (int i = 0; i < 100; ++i) program.Take(kMiB);
      program.Wait(20);
      for (int i = 0; i < 100; ++i) program.Free(kMiB);
    }
    EXPECT_LE(program.purged(), 400 * kMiB) << left;
  }
}

TEST(IdleBudgetTest, NorIsOneThatPausesNowAndThen) {
  Program program;
  constexpr int kPauses = 6;
  for (int pause = 0; pause < kPauses; ++pause) {
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < 100; ++i) program.Take(kMiB);
      program.Wait(4);
      for (int i = 0; i < 100; ++i) program.Free(kMiB);
    }
    for (int i = 0; i < 100; ++i) program.Take(kMiB);
    program.Wait(IdleBudget::kPhaseMs + 50);
    for (int i = 0; i < 100; ++i) program.Free(kMiB);
  }
  EXPECT_LE(program.purged(), kPauses * 150 * kMiB);
}

TEST(IdleBudgetTest, BurstsThatLeaveLessEachTimeArePurgedAFewTimes) {
  Program program;
  program.Take(100 * kMiB);
  for (size_t left = 20 * kMiB; left >= kMiB; left -= kMiB) {
    program.Wait(100);
    while (program.in_use() > left) program.Free(kMiB);
    program.Wait(100);
    program.Take(100 * kMiB - program.in_use());
  }
  EXPECT_LE(program.purged(), 500 * kMiB);
}

TEST(IdleBudgetTest, WhatBusyThreadsLeaveGoesBack) {
  Program program;
  uint32_t random = 1;
  const auto next = [&random] { return random = random * 1664525 + 1013904223; };
  size_t blocks[64] = {};
  for (int i = 0; i < 200'000; ++i) {
    size_t& block = blocks[(next() >> 16) % 64];
    if (block != 0) program.Free(block);
    block = 100'000 + (next() >> 8) % (i % 4 == 0 ? 2'900'000u : 400'000u);
    program.Take(block);
    if (i % 20 == 0) program.Wait(1);
  }
  const size_t busy = program.purged();
  EXPECT_GT(program.idle() + program.in_use(), 40 * kMiB) << "else there is nothing to see";
  for (const size_t block : blocks) program.Free(block);
  EXPECT_EQ(program.in_use(), 0u);
  EXPECT_LE(program.idle(), 2 * kKeep);
  EXPECT_LE(busy, 400 * kMiB);
}

TEST(IdleBudgetTest, DebtDoesNotKeepWhatIsOld) {
  IdleBudget budget;
  budget.AddIdle(kMiB, kNow);
  budget.AddRefault(100 * IdleBudget::kDebtLimit);
  EXPECT_EQ(budget.Excess(kNow + kDelay, kKeep, kDelay), kMiB);
}

TEST(IdleBudgetTest, TakenBelowNothingReadsAsNothing) {
  IdleBudget budget;
  budget.RemoveIdle(kMiB);
  EXPECT_EQ(budget.idle(), 0u);
  budget.AddIdle(3 * kMiB, kNow);
  EXPECT_EQ(budget.idle(), 2 * kMiB);
}

}  // namespace
}  // namespace hakmem
