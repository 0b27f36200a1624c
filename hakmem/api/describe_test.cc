// What reports say of an address: live, free wherever the block waits, never used, or none.

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/diag/address_info.h"
#include "hakmem/platform/build.h"
#include "testing/support/sandbox.h"
#include "testing/support/threads.h"

namespace hakmem {
namespace {

using State = AddressInfo::State;

// In guard builds freed blocks wait first.
void Free(void* p) {
  hak_free(p);
  if constexpr (kGuardBuild) hak_trim(0);
}

// Ends and inner addresses are of the block, too.
void ExpectState(const void* p, State state) {
  for (const size_t offset : {0, 1, 100}) {
    const AddressInfo info = Describe(static_cast<const char*>(p) + offset);
    EXPECT_EQ(info.state, state) << p << " + " << offset;
    EXPECT_EQ(info.block, reinterpret_cast<uintptr_t>(p)) << offset;
  }
}

TEST(DescribeTest, BlocksInListsAreFree) {
  constexpr size_t kSize = 2000;
  constexpr size_t kCount = 100;  // six lists of the class: five of them are set aside
  void* const keeps_the_superslab = hak_malloc(kSize);
  std::vector<void*> blocks;
  for (size_t i = 0; i < kCount; ++i) blocks.push_back(hak_malloc(kSize));
  for (void* p : blocks) ExpectState(p, State::kLive);
  for (void* p : blocks) Free(p);
  for (void* p : blocks) EXPECT_EQ(Describe(p).state, State::kFree);
  // What malloc takes from next.
  void* const again = hak_malloc(kSize);
  ExpectState(again, State::kLive);
  size_t live = 0;
  for (void* p : blocks) live += Describe(p).state == State::kLive ? 1 : 0;
  EXPECT_LE(live, 1u);
  hak_free(again);
  hak_free(keeps_the_superslab);
}

TEST(DescribeTest, BlocksThatWaitToGoHomeAreFree) {
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(hak_malloc(300));
  test::RunInThread([&] {
    for (int i = 0; i < 9; ++i) {
      Free(blocks[i]);
      EXPECT_EQ(Describe(blocks[i]).state, State::kFree) << i;
    }
    ExpectState(blocks[9], State::kLive);
  });
  for (int i = 0; i < 9; ++i) EXPECT_EQ(Describe(blocks[i]).state, State::kFree) << i;
  ExpectState(blocks[9], State::kLive);
  hak_free(blocks[9]);
}

TEST(DescribeTest, TheOwnersThreadIsNamed) {
  void* const mine = hak_malloc(100);
  EXPECT_EQ(Describe(mine).owner_thread, static_cast<uint32_t>(gettid()));
  test::RunInThread([&] {
    EXPECT_EQ(Describe(mine).owner_thread, static_cast<uint32_t>(getpid()));
    void* const own = hak_malloc(100);
    EXPECT_EQ(Describe(own).owner_thread, static_cast<uint32_t>(gettid()));
    EXPECT_TRUE(test::HoldsInChild([&] { return !Describe(mine).owner_driven && Describe(own).owner_driven; }));
    hak_free(own);
  });
  EXPECT_TRUE(test::HoldsInChild([&] { return Describe(mine).owner_thread == static_cast<uint32_t>(getpid()); }));
  test::RunInThread([&] {
    ASSERT_TRUE(test::RefuseSystemCall(SYS_get_robust_list, EPERM));
    EXPECT_TRUE(Describe(mine).owner_driven);
    EXPECT_EQ(Describe(mine).owner_thread, 0u) << "it cannot be told";
  });
  hak_free(mine);
}

TEST(DescribeTest, WhatLiesBehindTheLastBlockIsNone) {
  void* const p = hak_malloc(600);
  const AddressInfo info = Describe(p);
  ASSERT_EQ(info.place, AddressInfo::Place::kSlab);
  ASSERT_NE(info.slab_size % info.block_size, 0u);
  const AddressInfo behind = Describe(reinterpret_cast<const void*>(info.slab + info.slab_size - 1));
  EXPECT_EQ(behind.slab, info.slab);
  EXPECT_EQ(behind.state, State::kNoBlock);
  EXPECT_EQ(behind.block, 0u);
  const AddressInfo last =
      Describe(reinterpret_cast<const void*>(info.slab + info.slab_size / info.block_size * info.block_size - 1));
  EXPECT_NE(last.state, State::kNoBlock);
  EXPECT_NE(last.state, State::kLive);
  hak_free(p);
}

TEST(DescribeTest, ForeignAddresses) {
  int local = 0;
  EXPECT_EQ(Describe(&local).place, AddressInfo::Place::kForeign);
  EXPECT_EQ(Describe(nullptr).place, AddressInfo::Place::kForeign);
}

}  // namespace
}  // namespace hakmem
