// What is mapped outside of the window is outside, also where the window is a hole among other mappings (thread
// sanitizer).

#include <vector>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"

namespace hakmem {
namespace {

TEST(MapOutside, StaysOutsideOfTheWindow) {
  gate::OpenWindow(true);
  ASSERT_TRUE(HasWindow());
  std::vector<char*> mapped;
  for (int i = 0; i < 50; ++i) {
    char* p = static_cast<char*>(gate::MapOutside(kSuperslabSize, kSuperslabSize));
    ASSERT_NE(p, nullptr);
    EXPECT_FALSE(InWindow(p));
    EXPECT_FALSE(InWindow(p + kSuperslabSize - 1));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % kSuperslabSize, 0u);
    p[0] = p[kSuperslabSize - 1] = 1;
    mapped.push_back(p);
  }
  for (char* p : mapped) gate::Unmap(p, kSuperslabSize);
  EXPECT_EQ(gate::GetAccount().mapped, 0u);
}

}  // namespace
}  // namespace hakmem
