// Where the window goes when its place is refused, and what is mapped outside of a window that the kernel likes.
#include "hakmem/mmap_gate/window.h"

#include <errno.h>

#include <atomic>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/platform/build.h"
#include "hakmem/platform/os.h"

namespace hakmem::gate {
namespace {

// Each test opens a window of its own.
class WindowTest : public ::testing::Test {
 protected:
  void TearDown() override {
#if !defined(HAKMEM_BUILD_RELEASE)
    os::SetFaultHook(nullptr);
#endif
    g_window_base = kNoWindow;
  }
};

void ExpectUsableWindow() {
  ASSERT_TRUE(HasWindow());
  EXPECT_EQ(g_window_base % kSuperslabSize, 0u);
  void* const at = WindowAddress(kFirstSuperslab);
  ASSERT_EQ(Commit(at, kSuperslabSize), Outcome::kDone);
  *static_cast<volatile char*>(at) = 1;
  EXPECT_TRUE(InWindow(at));
  Unmap(at, kSuperslabSize);
}

TEST_F(WindowTest, IsThereUnlessForbidden) {
  OpenWindow(false);
  EXPECT_FALSE(HasWindow());
  OpenWindow(true);
  ExpectUsableWindow();
}

// A window in the stretch that the kernel gives to who asks for no place of their own.
TEST_F(WindowTest, MappingsElsewhereAvoidAWindowThatTheKernelLikes) {
  constexpr size_t kProbe = size_t{64} << 20;
  const os::MapResult probe = os::Map(nullptr, kProbe, false);
  ASSERT_NE(probe.ptr, nullptr);
  os::Unmap(probe.ptr, kProbe);
  g_window_base = (reinterpret_cast<uintptr_t>(probe.ptr) - kWindowSize / 2) & ~(uintptr_t{kSuperslabSize} - 1);
  ASSERT_TRUE(InWindow(probe.ptr));
  char* mapped[4];
  for (char*& p : mapped) {
    p = static_cast<char*>(MapOutside(kSuperslabSize, kSuperslabSize));
    ASSERT_NE(p, nullptr);
    EXPECT_FALSE(InWindow(p));
    EXPECT_FALSE(InWindow(p + kSuperslabSize - 1));
    p[0] = p[kSuperslabSize - 1] = 1;
  }
  for (char* p : mapped) Unmap(p, kSuperslabSize);
}

#if !defined(HAKMEM_BUILD_RELEASE)
std::atomic<uint32_t> refused{0};  // a bit for each mapping, from the first on
std::atomic<int> refused_with{0};
std::atomic<uint32_t> mappings{0};

void Refuse(uint32_t which, int error) {
  refused.store(which);
  refused_with.store(error);
  mappings.store(0);
  os::SetFaultHook([](os::Call call) {
    if (call != os::Call::kMap) return 0;
    return ((refused.load() >> mappings.fetch_add(1)) & 1) != 0 ? refused_with.load() : 0;
  });
}

TEST_F(WindowTest, NoneWhereNothingCanBeMapped) {
  g_options.log = 2;
  ::testing::internal::CaptureStderr();
  Refuse(~0u, ENOMEM);
  OpenWindow(true);
  g_options.log = 0;
  EXPECT_FALSE(HasWindow());
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("no window: free takes a slower path"), std::string::npos);
  os::SetFaultHook(nullptr);
  void* const outside = MapOutside(kSuperslabSize, kSuperslabSize);
  ASSERT_NE(outside, nullptr);
  EXPECT_FALSE(InWindow(outside));
  Unmap(outside, kSuperslabSize);
}

#if !defined(HAK_TSAN)  // which has no random places
TEST_F(WindowTest, APlaceThatIsTakenIsFollowedByAnother) {
  Refuse(1, EEXIST);
  OpenWindow(true);
  EXPECT_EQ(mappings.load(), 2u);
  ExpectUsableWindow();
}

// Address space that ends lower: a hole that the kernel proposes does.
TEST_F(WindowTest, AHoleWhereTheUsualPlacesAreRefused) {
  Refuse(1, ENOMEM);
  OpenWindow(true);
  EXPECT_EQ(mappings.load(), 3u);  // the place, the hole, the address map
  ExpectUsableWindow();
}

TEST_F(WindowTest, AHoleThatSomebodyElseTookIsNone) {
  Refuse(~2u, ENOMEM);  // all but the hole
  OpenWindow(true);
  EXPECT_GE(mappings.load(), 3u);
  EXPECT_FALSE(HasWindow());
}
#endif
#endif

}  // namespace
}  // namespace hakmem::gate
