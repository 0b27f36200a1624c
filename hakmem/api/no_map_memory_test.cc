// Outside of the address window the map from addresses to what stands there takes memory of its own. Where there is
// none for it, but for the block, the block goes back, and the request is refused.

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
// What one leaf of the map spans.
constexpr size_t kLeafBytes = size_t{16} << 30;

int NoMapping(os::Call call) { return call == os::Call::kMap ? ENOMEM : 0; }

std::atomic<int> g_maps{0};
int OneMapping(os::Call call) { return call == os::Call::kMap && g_maps.fetch_add(1) > 0 ? ENOMEM : 0; }

class NoMapMemory : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    hak_free(hak_malloc(1));
    ASSERT_FALSE(HasWindow()) << "run it with HAKMEM_WINDOW=0";
  }
  ~NoMapMemory() override {
    os::SetFaultHook(nullptr);
    for (const auto& [base, size] : taken_) munmap(base, size);
  }

  // Address space of others, so much of it that what is mapped next needs a leaf which the map does not have: the
  // kernel maps next to what it has mapped, below or above.
  void TakeAddresses() {
    std::set<uintptr_t> leaves;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      const size_t dash = line.find('-');
      const uintptr_t first = std::stoul(line, nullptr, 16) / kLeafBytes;
      for (uintptr_t leaf = first; leaf <= std::stoul(line.substr(dash + 1), nullptr, 16) / kLeafBytes; ++leaf) {
        leaves.insert(leaf);
        if (leaf - first > 1000) break;  // a sanitizer's
      }
    }
    static size_t wanted = 0;
    wanted += 2;  // beyond what the test before has used
    char* const all = Take(wanted * kLeafBytes);
    ASSERT_NE(all, nullptr);
    // Gaps that are long enough for a superslab wherever it begins.
    for (int i = 0; i < 100'000; ++i) {
      char* const gap = Take(4 * kMiB);
      ASSERT_NE(gap, nullptr);
      const bool beyond = gap < all || gap >= all + wanted * kLeafBytes;
      if (beyond && leaves.count(reinterpret_cast<uintptr_t>(gap) / kLeafBytes) == 0) return;
    }
    FAIL() << "the kernel finds gaps without end";
  }

  // What `size` bytes get while there is memory for one mapping alone, and none for metadata.
  static void* AllocateWithOneMapping(size_t size) {
    os::SetFaultHook(NoMapping);
    while (gate::AllocateMetadata(64, 64) != nullptr) {
    }
    g_maps = 0;
    os::SetFaultHook(OneMapping);
    errno = 0;
    void* const p = hak_malloc(size);
    os::SetFaultHook(nullptr);
    return p;
  }

 private:
  char* Take(size_t size) {
    void* const p = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    taken_.emplace_back(p, size);
    return static_cast<char*>(p);
  }

  std::vector<std::pair<void*, size_t>> taken_;
};

TEST_F(NoMapMemory, AHugeBlockIsRefused) {
  constexpr size_t kSize = 64 * kMiB;
  hak_free(hak_malloc(kSize));  // there is metadata for a block from now on
  TakeAddresses();
  const uint64_t mapped = gate::GetAccount().mapped;
  EXPECT_EQ(AllocateWithOneMapping(kSize), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_GT(g_maps, 1) << "the block itself was mapped";
  EXPECT_EQ(gate::GetAccount().mapped, mapped);
  char* const p = static_cast<char*>(hak_malloc(kSize));
  ASSERT_NE(p, nullptr);
  p[0] = p[kSize - 1] = 1;
  hak_free(p);
}

TEST_F(NoMapMemory, ABlockInASuperslabIsRefused) {
  constexpr size_t kSize = 200'000;
  std::vector<void*> blocks;
  for (int i = 0; i < 40; ++i) blocks.push_back(hak_malloc(kSize));
  for (void* p : blocks) hak_free(p);
  hak_trim(0);  // there is metadata for some superslabs from now on
  TakeAddresses();
  const uint64_t mapped = gate::GetAccount().mapped;
  EXPECT_EQ(AllocateWithOneMapping(kSize), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_GT(g_maps, 1) << "the superslab itself was mapped";
  EXPECT_EQ(gate::GetAccount().mapped, mapped);
  void* const p = hak_malloc(kSize);
  ASSERT_NE(p, nullptr);
  memset(p, 1, kSize);
  hak_free(p);
}

}  // namespace
}  // namespace hakmem
