#include "testing/op_stream/executor.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "testing/op_stream/text.h"

namespace hakmem::op_stream {
namespace {

// A correct allocator that never reuses memory, to be broken one function at a time. The size of a block stands in
// front of it.
constexpr size_t kArena = size_t{64} << 20;
constexpr size_t kHead = 16;
std::atomic<size_t> used;

char* Arena() {
  static char* arena = static_cast<char*>(
      mmap(nullptr, kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  return arena;
}

size_t SizeOf(void* p) {
  size_t size = 0;
  if (p != nullptr) memcpy(&size, static_cast<char*>(p) - kHead, sizeof(size));
  return size;
}

void* Memalign(size_t alignment, size_t size) {
  alignment = std::max<size_t>(alignment, 16);
  if (size > kArena || alignment > kArena) {
    errno = ENOMEM;
    return nullptr;
  }
  const size_t usable = std::max<size_t>(16, (size + 15) & ~size_t{15});
  const size_t room = used.fetch_add(kHead + alignment + usable);
  if (room + kHead + alignment + usable > kArena) {
    errno = ENOMEM;
    return nullptr;
  }
  const uintptr_t from = reinterpret_cast<uintptr_t>(Arena()) + room + kHead;
  char* p = reinterpret_cast<char*>((from + alignment - 1) & ~(alignment - 1));
  memcpy(p - kHead, &usable, sizeof(usable));
  return p;
}

void* Malloc(size_t size) { return Memalign(16, size); }

void* Calloc(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) total = SIZE_MAX;
  return Malloc(total);  // never used before, so zero
}

void* Realloc(void* p, size_t size) {
  if (p != nullptr && size == 0) return nullptr;
  void* to = Malloc(size);
  if (to != nullptr && p != nullptr) memcpy(to, p, std::min(size, SizeOf(p)));
  return to;
}

void* Reallocarray(void* p, size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) total = SIZE_MAX;
  return Realloc(p, total);
}

void* AlignedAlloc(size_t alignment, size_t size) {
  if ((alignment & (alignment - 1)) == 0) return Memalign(alignment, size);
  errno = EINVAL;
  return nullptr;
}

int PosixMemalign(void** out, size_t alignment, size_t size) {
  if ((alignment & (alignment - 1)) != 0 || alignment < sizeof(void*)) return EINVAL;
  const int saved = errno;
  void* p = Memalign(alignment, size);
  errno = saved;
  if (p == nullptr) return ENOMEM;
  *out = p;
  return 0;
}

void Free(void*) {}

Allocator Sound() {
  return {.name = "the arena",
          .malloc = Malloc,
          .calloc = Calloc,
          .realloc = Realloc,
          .reallocarray = Reallocarray,
          .aligned_alloc = AlignedAlloc,
          .posix_memalign = PosixMemalign,
          .memalign = Memalign,
          .free = Free,
          .usable_size = SizeOf,
          .free_sized = [](void*, size_t) {},
          .free_aligned_sized = [](void*, size_t, size_t) {},
          .trim = nullptr};
}

Report RunOn(const std::string& ops, const Allocator& allocator, const ExecuteOptions& options = {}) {
  const Decoded decoded = ParseText("stream threads=3 slots=8 max_size=1000000 max_live=10000000\n" + ops);
  EXPECT_EQ(decoded.error, "");
  used = 0;
  memset(Arena(), 0, kArena / 8);
  return Execute(decoded.stream, allocator, options);
}

// A stream that has every operation.
constexpr char kEverything[] = R"(
0 malloc 0 100
0 malloc 1 5000
0 malloc 7 0
0 calloc 2 30 40
0 aligned_alloc 3 100 8
0 posix_memalign 4 100 2
0 memalign 5 100 12
0 realloc 6 10
0 fill 1 7
0 realloc 1 9000
0 realloc 0 50
0 reallocarray 2 3 5
0 usable_size 3
0 check 4
0 refused 0 0
0 refused 0 1
0 refused 0 2
0 refused 0 3
0 refused 0 4
0 refused 0 5
0 refused 0 6
0 refused 0 7
0 refused 0 8
0 refused 0 9
0 refused 0 10
0 refused 0 11
0 refused 0 12
0 start 1
0 hand 1 1 3
1 malloc 0 64
0 barrier
1 hand 0 0 1
0 free 1
1 start 2
2 malloc 0 77
2 hand 0 1 5
2 end
1 check 5
0 fork
0 trim 0
0 free_sized 3
0 free_sized 2
0 free 0
0 realloc 6 0
)";

TEST(Executor, ASoundAllocatorPasses) {
  std::vector<Outcome> outcomes;
  const Report report = RunOn(kEverything, Sound(), {.outcomes = &outcomes});
  EXPECT_TRUE(report.ok()) << report.failures[0];
  EXPECT_EQ(report.left_out, 0u);
  EXPECT_EQ(report.operations, outcomes.size());
  EXPECT_EQ(outcomes[0], (Outcome{Outcome::Kind::kBlock, 0}));
  EXPECT_EQ(outcomes[14], (Outcome{Outcome::Kind::kRefused, ENOMEM}));
  EXPECT_EQ(outcomes[20], (Outcome{Outcome::Kind::kRefused, EINVAL}));
  EXPECT_EQ(outcomes.back(), (Outcome{Outcome::Kind::kDone, 0}));
}

// Runs `ops` on what is broken: one failure, with `words` in it.
void ExpectFailure(const Allocator& broken, const std::string& ops, const std::string& words) {
  ASSERT_TRUE(RunOn(ops, Sound()).ok());
  const Report report = RunOn(ops, broken);
  ASSERT_EQ(report.failures.size(), 1u) << "expected: " << words;
  EXPECT_NE(report.failures[0].find(words), std::string::npos) << report.failures[0];
}

TEST(Executor, FindsMisalignedBlocks) {
  Allocator broken = Sound();
  broken.malloc = [](size_t size) -> void* { return static_cast<char*>(Malloc(size + 16)) + 8; };
  ExpectFailure(broken, "0 malloc 0 100", "is not aligned to 16");
  broken = Sound();
  broken.memalign = [](size_t, size_t size) -> void* { return Memalign(1024, size + 64); };
  ExpectFailure(broken, "0 memalign 0 100 12\n0 memalign 1 100 12\n0 memalign 2 100 12\n0 memalign 3 100 12",
                "is not aligned to 4096");
}

TEST(Executor, FindsOverlappingBlocks) {
  Allocator broken = Sound();
  // A block of 48 bytes is the last one of 47.
  broken.malloc = [](size_t size) -> void* {
    static void* same = nullptr;
    if (size == 47) same = Malloc(size);
    return size == 47 || size == 48 ? same : Malloc(size);
  };
  ExpectFailure(broken, "0 malloc 0 40\n0 malloc 1 47\n0 malloc 2 48",
                "operation 2 (0 malloc 2 48): the block of 48 bytes");
  ExpectFailure(broken, "0 start 1\n0 malloc 1 47\n0 hand 1 1 0\n1 check 0\n1 malloc 2 48", "overlaps a live block");
}

TEST(Executor, FindsADirtyCalloc) {
  Allocator broken = Sound();
  broken.calloc = [](size_t count, size_t size) -> void* {
    void* p = Calloc(count, size);
    if (p != nullptr) static_cast<char*>(p)[count * size - 1] = 1;
    return p;
  };
  ExpectFailure(broken, "0 calloc 0 10 10", "of calloc is not zero at byte 99");
  ExpectFailure(broken, "0 calloc 0 1000 900", "of calloc is not zero at byte 899999");
}

TEST(Executor, FindsALostPrefix) {
  Allocator broken = Sound();
  broken.realloc = [](void* p, size_t size) -> void* {
    void* to = Realloc(p, size);
    if (p != nullptr && to != nullptr) static_cast<char*>(to)[std::min<size_t>(size, 100) - 1] ^= 1;
    return to;
  };
  ExpectFailure(broken, "0 malloc 0 100\n0 realloc 0 200", "after realloc, byte 99 of its contents has changed");
  ExpectFailure(broken, "0 malloc 0 100\n0 realloc 0 50", "after realloc, byte 49 of its contents has changed");
}

TEST(Executor, FindsABlockThatAFailedReallocDamaged) {
  Allocator broken = Sound();
  broken.realloc = [](void* p, size_t size) -> void* {
    if (p != nullptr && size > kArena) static_cast<char*>(p)[3] ^= 1;
    return Realloc(p, size);
  };
  ExpectFailure(broken, "0 malloc 0 100\n0 refused 0 4", "byte 3 of its contents has changed");
}

TEST(Executor, FindsWrongErrno) {
  Allocator broken = Sound();
  broken.malloc = [](size_t size) -> void* {
    if (size <= kArena) return Malloc(size);
    errno = EINVAL;
    return nullptr;
  };
  ExpectFailure(broken, "0 refused 0 0", "failed with errno 22, not 12");
  broken = Sound();
  broken.calloc = [](size_t, size_t) -> void* { return nullptr; };
  ExpectFailure(broken, "0 refused 0 2", "failed with errno 0, not 12");
  broken = Sound();
  broken.free = [](void*) { errno = 5; };
  ExpectFailure(broken, "0 malloc 0 1\n0 free 0", "free changed errno to 5");
  ExpectFailure(broken, "0 refused 0 11", "free(NULL) changed errno to 5");
  broken = Sound();
  broken.malloc = [](size_t size) -> void* {
    errno = 7;
    return Malloc(size);
  };
  ExpectFailure(broken, "0 malloc 0 1", "malloc changed errno to 7");
  broken = Sound();
  broken.posix_memalign = [](void** out, size_t alignment, size_t size) {
    const int result = PosixMemalign(out, alignment, size);
    errno = result;
    return result;
  };
  ExpectFailure(broken, "0 refused 0 10", "posix_memalign changed errno to 12");
}

TEST(Executor, FindsRequestsThatShouldHaveFailed) {
  Allocator broken = Sound();
  broken.calloc = [](size_t count, size_t size) { return Malloc(count * size % 4096); };
  ExpectFailure(broken, "0 refused 0 2", "a request that cannot be met gave a block");
  broken = Sound();
  broken.posix_memalign = [](void** out, size_t, size_t size) { return PosixMemalign(out, 64, size); };
  ExpectFailure(broken, "0 refused 0 8", "posix_memalign gave 0, not 22");
  broken = Sound();
  broken.aligned_alloc = [](size_t, size_t size) { return Malloc(size); };
  ExpectFailure(broken, "0 refused 0 6", "a request that cannot be met gave a block");
}

TEST(Executor, FindsRequestsThatShouldNotHaveFailed) {
  Allocator broken = Sound();
  broken.malloc = [](size_t size) -> void* {
    if (size != 100) return Malloc(size);
    errno = ENOMEM;
    return nullptr;
  };
  ExpectFailure(broken, "0 malloc 0 100", "malloc gave no block of 100 bytes");
  const Report report = RunOn("0 malloc 0 100\n0 check 0\n0 realloc 0 50\n0 free 0", broken, {.may_fail_above = 0});
  EXPECT_TRUE(report.ok()) << report.failures[0];
  EXPECT_EQ(report.no_memory, 1u);
}

TEST(Executor, FindsCorruptedContents) {
  Allocator broken = Sound();
  // A malloc of 33 bytes writes into the block before.
  broken.malloc = [](size_t size) -> void* {
    static char* last = nullptr;
    if (size == 33) last[60] ^= 1;
    return last = static_cast<char*>(Malloc(size));
  };
  const std::string damage = "0 malloc 0 100\n0 malloc 1 33\n";
  ExpectFailure(broken, damage + "0 free 0", "since it was written, byte 60 of its contents has changed");
  ExpectFailure(broken, damage + "0 check 0", "operation 2 (0 check 0)");
  ExpectFailure(broken, damage + "0 realloc 0 20", "byte 60 of its contents has changed");
  ExpectFailure(broken, damage, "(end)");
  ExpectFailure(broken, damage + "0 fork", "a forked child found a block damaged");
  ExpectFailure(broken, "0 malloc 0 5000\n0 fill 0 1\n0 malloc 1 33\n0 free 0", "byte 60 of its contents");
}

TEST(Executor, FillCoversTheWholeBlock) {
  Allocator broken = Sound();
  broken.malloc = [](size_t size) -> void* {
    static char* last = nullptr;
    if (size == 33) last[50000] ^= 1;
    return last = static_cast<char*>(Malloc(size));
  };
  EXPECT_TRUE(RunOn("0 malloc 0 100000\n0 malloc 1 33\n0 free 0", broken).ok());  // the middle, not written
  ExpectFailure(broken, "0 malloc 0 100000\n0 fill 0 9\n0 malloc 1 33\n0 free 0", "byte 50000 of its contents");
}

TEST(Executor, FindsWrongUsableSizes) {
  Allocator broken = Sound();
  broken.usable_size = [](void* p) { return SizeOf(p) == 112 ? size_t{96} : SizeOf(p); };
  ExpectFailure(broken, "0 malloc 0 100", "has a usable size of 96");
  static int calls;
  calls = 0;
  broken.usable_size = [](void* p) { return SizeOf(p) - (calls++ == 0 ? 0 : 1); };
  ExpectFailure(broken, "0 malloc 0 10\n0 usable_size 0", "had a usable size of 16, now of 15");
  broken.usable_size = [](void* p) { return p == nullptr ? size_t{3} : SizeOf(p); };
  ExpectFailure(broken, "0 refused 0 12", "the usable size of NULL is 3");
}

TEST(Executor, FindsAChildThatCannotAllocate) {
  Allocator broken = Sound();
  broken.malloc = [](size_t size) -> void* { return size == 3000000 ? nullptr : Malloc(size); };
  ExpectFailure(broken, "0 fork", "a forked child ended with status 4");
  broken.malloc = [](size_t size) -> void* { return size == 3000000 ? abort(), nullptr : Malloc(size); };
  ExpectFailure(broken, "0 fork", "a forked child was ended by signal 6");
}

TEST(Executor, PassesTheSizesToTheSizedFrees) {
  static size_t size_given;
  static size_t alignment_given;
  Allocator allocator = Sound();
  allocator.free_sized = [](void*, size_t size) { size_given = size; };
  allocator.free_aligned_sized = [](void*, size_t alignment, size_t size) {
    alignment_given = alignment;
    size_given = size;
  };
  EXPECT_TRUE(RunOn("0 calloc 0 7 11\n0 free_sized 0", allocator).ok());
  EXPECT_EQ(size_given, 77u);
  EXPECT_TRUE(RunOn("0 aligned_alloc 0 100 7\n0 free_sized 0", allocator).ok());
  EXPECT_EQ(alignment_given, 128u);
  EXPECT_EQ(size_given, 100u);
}

TEST(Executor, AbortsWhereTheFailureIsWhenAsked) {
  Allocator broken = Sound();
  broken.malloc = [](size_t) -> void* { return Arena() + 64; };
  EXPECT_DEATH((void)RunOn("0 malloc 0 1\n0 malloc 1 1", broken, {.abort_on_failure = true}), "operation");
}

TEST(Executor, ThreadsKeepTogetherAfterAFailure) {
  Allocator broken = Sound();
  broken.malloc = [](size_t) -> void* { return Arena() + 4; };
  const Report report = RunOn(
      "0 start 1\n0 start 2\n1 malloc 0 1\n2 barrier\n1 hand 0 2 0\n2 free 0\n2 end\n1 start 2\n2 malloc 0 1\n0 "
      "barrier",
      broken);
  EXPECT_FALSE(report.ok());
}

}  // namespace
}  // namespace hakmem::op_stream
