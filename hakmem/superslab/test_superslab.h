// A superslab of a test's own, outside of the window.
#ifndef HAKMEM_SUPERSLAB_TEST_SUPERSLAB_H_
#define HAKMEM_SUPERSLAB_TEST_SUPERSLAB_H_

#include <sys/mman.h>

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/platform/round_up.h"
#include "hakmem/superslab/owned_slab.h"

namespace hakmem {

class TestSuperslab {
 public:
  TestSuperslab() {
    void* memory = mmap(nullptr, 2 * kSuperslabSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    mapping_ = static_cast<char*>(memory);
    const uintptr_t start = RoundUp(reinterpret_cast<uintptr_t>(memory), kSuperslabSize);
    // Resident pages are those that were touched.
    madvise(memory, 2 * kSuperslabSize, MADV_NOHUGEPAGE);
    superslab_ = std::make_unique<Superslab>();
    superslab_->Prepare(reinterpret_cast<char*>(start), false);
  }
  ~TestSuperslab() { munmap(mapping_, 2 * kSuperslabSize); }
  TestSuperslab(const TestSuperslab&) = delete;
  TestSuperslab& operator=(const TestSuperslab&) = delete;

  Superslab& operator*() const { return *superslab_; }
  Superslab* operator->() const { return superslab_.get(); }

 private:
  char* mapping_;
  std::unique_ptr<Superslab> superslab_;
};

inline std::vector<Block*> BlocksOf(const Chain& chain) {
  std::vector<Block*> blocks;
  Block* block = chain.first;
  for (uint32_t i = 0; i < chain.count; ++i) {
    // The link of the last one means nothing.
    Block* next = i + 1 < chain.count ? NextOf(block) : nullptr;
    blocks.push_back(block);
    block = next;
  }
  return blocks;
}

inline Chain ChainOf(const std::vector<Block*>& blocks) {
  Chain chain;
  for (Block* block : blocks) chain.PushFront(block);
  return chain;
}

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_TEST_SUPERSLAB_H_
