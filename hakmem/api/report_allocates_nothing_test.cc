// A report is written without an allocation: neither by the C library's malloc nor from hakmem's own memory, which may
// be what is broken.

#include <fcntl.h>
#include <hakmem/hakmem.h>
#include <unistd.h>

#include <cstddef>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"

namespace {
int calls = 0;
}

// Glibc's own entry points stand behind the names that this program takes for itself, to count.
extern "C" {
void* __libc_malloc(size_t size) noexcept;
void* __libc_calloc(size_t count, size_t size) noexcept;
void* __libc_realloc(void* p, size_t size) noexcept;
void* malloc(size_t size) noexcept {
  ++calls;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) noexcept {
  ++calls;
  return __libc_calloc(count, size);
}
void* realloc(void* p, size_t size) noexcept {
  ++calls;
  return __libc_realloc(p, size);
}
}

namespace hakmem {
namespace {

TEST(Report, AllocatesNothing) {
  int on_the_stack = 0;
  char* block = static_cast<char*>(hak_malloc(2'000'000));
  ASSERT_NE(block, nullptr);
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
  const gate::Account before = gate::GetAccount();
  const int calls_before = calls;
  hak_free(&on_the_stack);
  hak_free(block + 16);
  hak_free_sized(block, 1);
  const int calls_after = calls;
  const gate::Account after = gate::GetAccount();
  EXPECT_EQ(calls_after, calls_before);
  EXPECT_EQ(after.metadata, before.metadata);
  EXPECT_EQ(after.mapped, before.mapped);
  // The counter counts.
  free(malloc(1));
  EXPECT_GT(calls, calls_after);
  hak_free(block);
}

}  // namespace
}  // namespace hakmem
