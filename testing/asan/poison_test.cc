// Under the address sanitizer: a use after free inside hakmem's memory is seen, and so is a write past its metadata.

#include <hakmem/hakmem.h>

#include <cstring>
#include <initializer_list>
#include <thread>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/platform/poison.h"

namespace hakmem {
namespace {

[[maybe_unused]] volatile char sink;

TEST(Poison, LiveBlocksMayBeTouchedFromEndToEnd) {
  for (const size_t size : {1, 16, 100, 1024, 5000, 40000, 300000, 3 << 20}) {
    char* p = static_cast<char*>(hak_malloc(size));
    memset(p, 1, hak_usable_size(p));
    hak_free(p);
    p = static_cast<char*>(hak_calloc(1, size));
    memset(p, 1, hak_usable_size(p));
    p = static_cast<char*>(hak_realloc(p, size * 3));
    memset(p, 1, hak_usable_size(p));
    p = static_cast<char*>(hak_realloc(p, size));
    memset(p, 1, hak_usable_size(p));
    hak_free(p);
    p = static_cast<char*>(hak_aligned_alloc(4096, size));
    memset(p, 1, hak_usable_size(p));
    hak_free(p);
  }
}

#if defined(HAK_ASAN)

class PoisonDeathTest : public ::testing::TestWithParam<size_t> {};

TEST_P(PoisonDeathTest, ReadAfterFree) {
  volatile char* p = static_cast<char*>(hak_malloc(GetParam()));
  hak_free(const_cast<char*>(p));
  EXPECT_DEATH(sink = p[0], "use-after-poison");
  EXPECT_DEATH(sink = p[GetParam() - 1], "use-after-poison");
}

TEST_P(PoisonDeathTest, WriteAfterFree) {
  volatile char* p = static_cast<char*>(hak_malloc(GetParam()));
  hak_free(const_cast<char*>(p));
  EXPECT_DEATH(p[GetParam() / 2] = 1, "use-after-poison");
}

TEST_P(PoisonDeathTest, WriteAfterReallocMovedOrCutIt) {
  volatile char* p = static_cast<char*>(hak_malloc(GetParam() * 4));
  char* q = static_cast<char*>(hak_realloc(const_cast<char*>(p), GetParam()));
  EXPECT_DEATH(p[GetParam() * 4 - 1] = 1, "use-after-poison");
  hak_free(q);
}

TEST_P(PoisonDeathTest, WriteAfterAnotherThreadFreedIt) {
  // The outbox and the slab's remote list hold it.
  volatile char* p = static_cast<char*>(hak_malloc(GetParam()));
  std::thread([&] { hak_free(const_cast<char*>(p)); }).join();
  EXPECT_DEATH(p[0] = 1, "use-after-poison");
}

INSTANTIATE_TEST_SUITE_P(Sizes, PoisonDeathTest, ::testing::Values(16, 1024, 100000, 5 << 20));

TEST(PoisonDeathTest, NeverHandedOut) {
  // The rest of the slab behind a first block of a class that nobody else uses.
  volatile char* p = static_cast<char*>(hak_malloc(45000));
  EXPECT_DEATH(p[hak_usable_size(const_cast<char*>(p))] = 1, "use-after-poison");
  hak_free(const_cast<char*>(p));
}

TEST(PoisonDeathTest, WritePastMetadata) {
  volatile char* metadata = static_cast<char*>(gate::AllocateMetadata(256, 64));
  metadata[0] = 1;
  metadata[255] = 1;
  EXPECT_DEATH(metadata[256] = 1, "use-after-poison");
  EXPECT_DEATH(metadata[-1] = 1, "use-after-poison");
}

#else

TEST(Poison, IsNotThereWithoutTheSanitizer) { EXPECT_FALSE(kPoisons); }

#endif

}  // namespace
}  // namespace hakmem
