// What the system refuses to unmap is kept account of: it is not handed out as something else.

#include <errno.h>

#include <cstring>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem::arena {
namespace {

constexpr size_t kPiece = kSuperslabSize;

class RefusedTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    gate::OpenWindow(true);
    ASSERT_TRUE(HasWindow());
  }
  static char* Take(size_t count) { return static_cast<char*>(Acquire(count, kPiece)); }
};

TEST_F(RefusedTest, IdlePiecesStayMappedAndIdle) {
  const uint64_t mapped = gate::GetAccount().mapped;
  char* const run = Take(3);
  memset(run, 7, 3 * kPiece);
  Release(run, 3);
  {
    test::FailingCalls failing(os::Call::kUnmap, ENOMEM);
    EXPECT_EQ(UnmapIdle(), 0u);
    EXPECT_EQ(failing.seen(), 1u) << "the run is not tried again";
  }
  EXPECT_EQ(GetUsage().taken, 0u);
  EXPECT_EQ(GetUsage().idle, 3 * kPiece);
  EXPECT_EQ(g_idle.idle(), 3 * kPiece);
  EXPECT_EQ(gate::GetAccount().mapped, mapped + 3 * kPiece);
  char* const again = Take(3);
  EXPECT_EQ(again, run);
  EXPECT_TRUE(IsDirty(again, 0));
  Release(again, 3);
  EXPECT_EQ(UnmapIdle(), 3 * kPiece);
  EXPECT_EQ(gate::GetAccount().mapped, mapped);
  EXPECT_EQ(g_idle.idle(), 0u);
}

TEST_F(RefusedTest, WhatCouldNotBeDiscardedIsNobodys) {
  const uint64_t taken = GetUsage().taken;
  char* const run = Take(2);
  {
    test::FailingCalls failing(os::Call::kUnmap, ENOMEM);
    Discard(run, 2);
  }
  EXPECT_EQ(GetUsage().taken, taken + 2 * kPiece);
  char* const next = Take(2);
  EXPECT_TRUE(next + 2 * kPiece <= run || next >= run + 2 * kPiece) << "not handed out again";
  Release(next, 2);
  Release(run, 2);
}

TEST_F(RefusedTest, OutsideOfTheWindow) {
  const uint64_t mapped = gate::GetAccount().mapped;
  const uint64_t taken = GetUsage().taken;
  char* const run = static_cast<char*>(gate::MapOutside(2 * kPiece, kPiece));
  ASSERT_NE(run, nullptr);
  run[0] = 1;
  {
    test::FailingCalls failing(os::Call::kUnmap, ENOMEM);
    EXPECT_FALSE(gate::Unmap(run, 2 * kPiece));
  }
  EXPECT_EQ(gate::GetAccount().mapped, mapped + 2 * kPiece);
  EXPECT_EQ(run[0], 0);
  EXPECT_TRUE(gate::Unmap(run, 2 * kPiece));
  EXPECT_EQ(GetUsage().taken, taken);
}

}  // namespace
}  // namespace hakmem::arena
