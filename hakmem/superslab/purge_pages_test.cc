// Free pages inside a slab go back, again and again, whatever the sizes of blocks and pages: no block that is out is
// touched, and each of the others can be had once.

#include <cstring>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/superslab/owned_slab.h"
#include "hakmem/superslab/test_superslab.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"

namespace hakmem {
namespace {

constexpr Claimant kOwner = {0x010000, 0, 0};

struct Case {
  size_t block_size;
  size_t page_size;
};

class PurgePagesTest : public testing::TestWithParam<Case> {
 protected:
  PurgePagesTest() : pages_(GetParam().page_size) {}

  uint32_t Random(uint32_t below) {
    return static_cast<uint32_t>((random_ = random_ * 1664525 + 1013904223) >> 8) % below;
  }
  static char PatternOf(const Block* block) { return static_cast<char>(reinterpret_cast<uintptr_t>(block) >> 4 | 1); }
  void Out(Block* block) {
    ASSERT_TRUE(out_.insert(block).second) << "handed out twice";
    memset(block, PatternOf(block), size_);
  }
  void CheckOut(const OwnedSlab& owned) {
    EXPECT_EQ(owned.used(), out_.size());
    for (const Block* block : out_) {
      const char* const bytes = reinterpret_cast<const char*>(block);
      for (size_t i = 0; i < size_; ++i) ASSERT_EQ(bytes[i], PatternOf(block)) << "a block that is out was touched";
    }
  }
  // Takes one block at least, as refill does: what was freed first.
  void Take(OwnedSlab& owned) {
    bool clean;
    const Chain chain = owned.HasFree() ? owned.Pop() : owned.Carve(1 + Random(20), &clean);
    for (Block* block : BlocksOf(chain)) Out(block);
  }
  std::vector<Block*> SomeOut(uint32_t one_in) {
    std::vector<Block*> some;
    for (Block* block : out_) {
      if (Random(one_in) == 0) some.push_back(block);
    }
    for (Block* block : some) out_.erase(block);
    return some;
  }
  // Pages of the system, all of whose blocks are free and were handed out once, have to be gone.
  void CheckGone(const Slab& slab, uint32_t carved) {
    const size_t page = GetParam().page_size;
    for (size_t at = 0; at + page <= carved * size_; at += page) {
      bool is_free = true;
      for (size_t i = at / size_; i * size_ < at + page; ++i) {
        is_free = is_free && out_.count(reinterpret_cast<Block*>(slab.base() + i * size_)) == 0;
      }
      if (is_free) EXPECT_EQ(test::ResidentBytes(slab.base() + at, page), 0) << at;
    }
  }

  test::PretendedPageSize pages_;
  TestSuperslab superslab_;
  size_t size_ = 0;
  std::set<Block*> out_;
  uint32_t random_ = 1;
};

TEST_P(PurgePagesTest, AgainAndAgain) {
  const unsigned c = ClassOfSize(GetParam().block_size);
  size_ = kSizeClasses[c].block_size;
  ASSERT_EQ(size_, GetParam().block_size);
  for (int life = 0; life < 5; ++life) {
    OwnedSlab owned = OwnedSlab::SetUp(superslab_->slabs[0], kOwner, c, life == 0);
    Slab& slab = owned.slab();
    uint32_t most_out = 0;
    for (int round = 0; round < 12; ++round) {
      const uint32_t times = 1 + Random(30);
      for (uint32_t i = 0; i < times && (owned.HasFree() || owned.HasUncarved()); ++i) {
        ASSERT_NO_FATAL_FAILURE(Take(owned));
      }
      most_out = slab.LookFromOutside().carved;
      // A few stay, or most of them.
      const std::vector<Block*> own = SomeOut(1 + Random(3));
      if (!own.empty()) owned.Push(ChainOf(own));
      const std::vector<Block*> remote = SomeOut(1 + Random(4));
      HeapId notify;
      if (!remote.empty()) {
        EXPECT_FALSE(OwnedSlab::PushRemote(slab, ChainOf(remote), {9, 0, 0}, &notify).has_value());
      }
      const size_t given_back = owned.PurgeFreePages();
      EXPECT_EQ(given_back % GetParam().page_size, 0u);
      ASSERT_NO_FATAL_FAILURE(CheckOut(owned));
      CheckGone(slab, most_out);
      EXPECT_EQ(owned.PurgeFreePages(), 0u) << "a second time, with nothing freed in between";
      ASSERT_NO_FATAL_FAILURE(CheckOut(owned));
      if (slab.PeekRemote().notified) owned.Acknowledge();
    }
    // All others, each once.
    while (owned.HasFree() || owned.HasUncarved()) ASSERT_NO_FATAL_FAILURE(Take(owned));
    EXPECT_EQ(out_.size(), kSizeClasses[c].capacity);
    owned.Push(ChainOf({out_.begin(), out_.end()}));
    out_.clear();
    ASSERT_TRUE(owned.Retire());
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const size_t page_size : {size_t{4} << 10, size_t{16} << 10, size_t{64} << 10}) {
    // Release builds cannot pretend.
    if (page_size != os::PageSize() && !test::kHasFaults) continue;
    for (const size_t block_size : {16, 48, 512, 960, 4096, 5120, 10240, 24576, 40960, 131072}) {
      cases.push_back({block_size, page_size});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, PurgePagesTest, testing::ValuesIn(Cases()), [](const testing::TestParamInfo<Case>& info) {
  return "Blocks" + std::to_string(info.param.block_size) + "Pages" + std::to_string(info.param.page_size);
});

}  // namespace
}  // namespace hakmem
