// Huge pages in a small process: not in one that forks again and again, as shells do; in its child as at first.

#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/superslab/address_map.h"
#include "testing/support/sandbox.h"

namespace hakmem {
namespace {

constexpr size_t kSize = 900;

// A block in the next slab of its class.
Slab& NextSlab() {
  Slab* const before = address_map::SlabOf(hak_malloc(kSize));
  for (;;) {
    Slab* const slab = address_map::SlabOf(hak_malloc(kSize));
    if (slab != before) return *slab;
  }
}

// Whether a class that grows gets a huge page when two superslabs, and less than what two hold, are in use.
bool GetsAHugePage() {
  for (int i = 0; i < 25; ++i) NextSlab();
  const Superslab* const first = &address_map::SlabOf(hak_malloc(kSize))->superslab();
  const Superslab* const second = &address_map::SlabOf(hak_malloc(700'000))->superslab();
  if (first == second || first->huge.load() || second->huge.load()) _exit(2);
  return NextSlab().superslab().huge.load();
}

bool Forks(int times) {
  for (int i = 0; i < times; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (child < 0 || waitpid(child, nullptr, 0) != child) return false;
  }
  return true;
}

TEST(ForksTest, ASmallProcessThatForksMuchGetsNoHugePages) {
  if (g_options.huge_pages != 1) return;
  EXPECT_TRUE(test::HoldsInChild([] { return GetsAHugePage(); }));
  EXPECT_TRUE(test::HoldsInChild([] { return Forks(3) && GetsAHugePage(); }));
  EXPECT_TRUE(test::HoldsInChild([] { return Forks(20) && !GetsAHugePage(); }));
  ASSERT_TRUE(Forks(20));
  EXPECT_TRUE(test::HoldsInChild([] { return GetsAHugePage(); })) << "it has not forked yet";
}

}  // namespace
}  // namespace hakmem
