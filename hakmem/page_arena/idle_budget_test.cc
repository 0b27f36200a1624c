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
