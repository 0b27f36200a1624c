// Metadata of superslabs lives again at the same address, while other threads may still remember it.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/superslab/slab.h"

namespace hakmem {
namespace {

TEST(MetadataReuse, PreparedSlotsAreTheCallersAlone) {
  alignas(Superslab) static Superslab superslab;
  std::vector<char> memory(2 * kSuperslabSize);
  const uintptr_t start = reinterpret_cast<uintptr_t>(memory.data());
  char* const base = memory.data() + ((kSuperslabSize - start % kSuperslabSize) % kSuperslabSize);
  for (const bool dirty : {false, true}) {
    superslab.Prepare(base, dirty);
    // A thread that remembers an earlier life takes what it finds here.
    EXPECT_EQ(superslab.unused.load(), 0u);
    EXPECT_EQ(superslab.empty.load(), 0u);
    EXPECT_EQ(superslab.active.load(), 0u);
    for (Slab& slab : superslab.slabs) {
      EXPECT_EQ(slab.owner(), kRetired);
      EXPECT_EQ(slab.slot().Peek().state, SlotState::kUnused);
    }
  }
}

}  // namespace
}  // namespace hakmem
