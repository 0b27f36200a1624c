// The registry: numbers in order, and hints that are found wherever they are.

#include "hakmem/shared_pool/registry.h"

#include <errno.h>

#include <memory>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "testing/support/faults.h"
#include "testing/support/threads.h"

namespace hakmem::pool {
namespace {

TEST(RegistryTest, NumbersInOrderBeyondAChunk) {
  const auto registry = std::make_unique<Registry>();
  std::vector<std::unique_ptr<Superslab>> superslabs;
  EXPECT_EQ(registry->size(), 0u);
  for (uint32_t i = 0; i < 1030; ++i) {
    superslabs.push_back(std::make_unique<Superslab>());
    ASSERT_TRUE(registry->Add(superslabs.back().get()));
    EXPECT_EQ(superslabs.back()->number, i);
  }
  EXPECT_EQ(registry->size(), 1030u);
  for (uint32_t i = 0; i < 1030; ++i) EXPECT_EQ(registry->At(i), superslabs[i].get());
  EXPECT_EQ(registry->At(1030), nullptr);
  EXPECT_EQ(registry->At(5000), nullptr) << "no chunk yet";
}

TEST(RegistryTest, HintsAreFoundFromBelow) {
  const auto registry = std::make_unique<Registry>();
  std::vector<std::unique_ptr<Superslab>> superslabs;
  for (uint32_t i = 0; i < 300; ++i) {
    superslabs.push_back(std::make_unique<Superslab>());
    ASSERT_TRUE(registry->Add(superslabs.back().get()));
  }
  EXPECT_EQ(registry->NextHint(0), 300u);
  const std::set<uint32_t> hinted = {0, 1, 63, 64, 130, 191, 299};
  for (const uint32_t n : hinted) registry->SetHint(n);
  registry->SetHint(63);
  for (uint32_t from = 0; from <= 300; ++from) {
    const auto next = hinted.lower_bound(from);
    EXPECT_EQ(registry->NextHint(from), next == hinted.end() ? 300u : *next) << from;
  }
  registry->SetHint(310);
  EXPECT_EQ(registry->NextHint(300), 300u) << "nothing beyond the numbers that were given";
  registry->ClearHint(63);
  EXPECT_EQ(registry->NextHint(2), 64u);
  registry->ClearHint(63);
  EXPECT_EQ(registry->NextHint(1), 1u);
}

TEST(RegistryTest, ThreadsGetNumbersOfTheirOwn) {
  const auto registry = std::make_unique<Registry>();
  constexpr unsigned kThreads = 4;
  constexpr size_t kEach = 300;
  std::vector<Superslab> superslabs(kThreads * kEach);
  test::RunTogether(kThreads, [&](unsigned thread) {
    for (size_t i = 0; i < kEach; ++i) ASSERT_TRUE(registry->Add(&superslabs[thread * kEach + i]));
  });
  EXPECT_EQ(registry->size(), superslabs.size());
  for (const Superslab& superslab : superslabs) EXPECT_EQ(registry->At(superslab.number), &superslab);
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST(RegistryTest, WithoutMemoryNoNumberIsGiven) {
  // Uses up what the gate has left of its chunk.
  const auto registry = std::make_unique<Registry>();
  Superslab superslab;
  {
    test::FailingCalls failing(os::Call::kMap, ENOMEM);
    while (gate::AllocateMetadata(4096, 64) != nullptr) {
    }
    EXPECT_FALSE(registry->Add(&superslab));
  }
  EXPECT_EQ(registry->size(), 0u);
  EXPECT_TRUE(registry->Add(&superslab));
  EXPECT_EQ(registry->At(0), &superslab);
}
#endif

}  // namespace
}  // namespace hakmem::pool
