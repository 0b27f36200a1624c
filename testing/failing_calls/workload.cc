#include "testing/failing_calls/workload.h"

#include <errno.h>
#include <hakmem/hakmem.h>
#include <pthread.h>

#include <cstdint>
#include <cstring>

#include "hakmem/large/huge.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/shared_pool/shared_pool.h"

namespace hakmem::testing {
namespace {

constexpr size_t kMostBlocks = 512;

// Keeps its blocks in itself: nothing here is served by an allocator that may be made to fail.
class Workload {
 public:
  explicit Workload(size_t scale) : scale_(scale) {}

  WorkloadResult Run() {
    SmallBlocks();
    BlocksOfAnExitedThread();
    HugeBlocks();
    hak_trim(0);
    SmallBlocks();
    FreeAll();
    hak_trim(0);
    return result_;
  }

 private:
  struct Held {
    unsigned char* p;
    size_t size;
    unsigned char mark;
  };

  void Problem(const char* what, size_t size) {
    if (result_.problem.empty()) result_.problem = std::string(what) + ", size " + std::to_string(size);
  }

  // Looks at what an allocation gave. errno was 0 before the call.
  bool Given(const void* p, size_t size, size_t alignment) {
    if (p == nullptr) {
      if (errno != ENOMEM) Problem("refused without ENOMEM", size);
      ++result_.refused;
      return false;
    }
    if (errno != 0) Problem("served, but errno was changed", size);
    if (reinterpret_cast<uintptr_t>(p) % alignment != 0) Problem("not aligned", size);
    if (hak_usable_size(p) < size) Problem("usable size too small", size);
    return true;
  }

  // Both ends, and the start of each page of up to 64 KiB.
  static void Fill(const Held& held) {
    held.p[held.size - 1] = held.mark;
    for (size_t at = 0; at < held.size && at < 65536; at += 4096) held.p[at] = held.mark;
  }
  void CheckFilled(const Held& held, size_t size) {
    if (size == held.size && held.p[size - 1] != held.mark) Problem("last byte changed", size);
    for (size_t at = 0; at < size && at < 65536; at += 4096) {
      if (held.p[at] != held.mark) Problem("contents changed", size);
    }
  }

  void Keep(void* p, size_t size) {
    if (count_ == kMostBlocks) {
      hak_free(p);
      return;
    }
    held_[count_] = {static_cast<unsigned char*>(p), size, static_cast<unsigned char>(count_ * 7 + 1)};
    Fill(held_[count_++]);
  }

  void Malloc(size_t size) {
    errno = 0;
    void* p = hak_malloc(size);
    if (Given(p, size, 16)) Keep(p, size);
  }

  void Calloc(size_t size) {
    errno = 0;
    unsigned char* p = static_cast<unsigned char*>(hak_calloc(1, size));
    if (!Given(p, size, 16)) return;
    for (size_t at = 0; at < size; at += at < 65536 ? 1 : 4096) {
      if (p[at] != 0) Problem("calloc not zero", size);
    }
    Keep(p, size);
  }

  void Aligned(size_t alignment, size_t size) {
    errno = 0;
    void* p = hak_aligned_alloc(alignment, size);
    if (Given(p, size, alignment)) Keep(p, size);
  }

  void Realloc(Held& held, size_t size) {
    errno = 0;
    void* p = hak_realloc(held.p, size);
    if (!Given(p, size, 16)) {
      CheckFilled(held, held.size);
      return;
    }
    const size_t had = held.size;
    held.p = static_cast<unsigned char*>(p);
    CheckFilled(held, had < size ? had : size);
    held.size = size;
    Fill(held);
  }

  void Free(size_t i) {
    CheckFilled(held_[i], held_[i].size);
    errno = 1;
    hak_free(held_[i].p);
    if (errno != 1) Problem("free changed errno", held_[i].size);
    held_[i] = held_[--count_];
  }

  void FreeAll() {
    while (count_ != 0) Free(count_ - 1);
  }

  void SmallBlocks() {
    static constexpr size_t kSizes[] = {16, 48, 100, 500, 1024, 2000, 9000, 33000, 70000, 200000, 600000};
    for (size_t size : kSizes) {
      for (size_t i = 0; i < scale_; ++i) Malloc(size);
      Calloc(size);
    }
    for (size_t alignment = 32; alignment <= 1 << 16; alignment *= 8) Aligned(alignment, 1000);
    for (size_t i = 0; i < count_; i += 3) Realloc(held_[i], held_[i].size * 2 + 1);
    for (size_t i = 0; i < count_ / 2; ++i) Free(i);
  }

  void BlocksOfAnExitedThread() {
    pthread_t thread;
    // A thread that cannot be had is not hakmem's fault.
    if (pthread_create(
            &thread, nullptr,
            [](void* self) -> void* {
              static_cast<Workload*>(self)->SmallBlocks();
              return nullptr;
            },
            this) != 0) {
      return;
    }
    pthread_join(thread, nullptr);
    while (count_ > 20) Free(count_ / 2);
  }

  void HugeBlocks() {
    const size_t first = count_;
    Malloc(size_t{3} << 20);
    Calloc((size_t{5} << 20) - 100);
    Aligned(size_t{4} << 20, size_t{2} << 20);
    Malloc((size_t{2} << 20) + 1);
    for (size_t i = first; i < count_; ++i) Realloc(held_[i], held_[i].size + (size_t{6} << 20));
    for (size_t i = first; i < count_; ++i) Realloc(held_[i], size_t{3} << 20);
    for (size_t i = first; i < count_; ++i) Realloc(held_[i], i % 2 == 0 ? 5000 : size_t{9} << 20);
    while (count_ > first) Free(first);
    Calloc(size_t{4} << 20);
  }

  const size_t scale_;
  WorkloadResult result_;
  Held held_[kMostBlocks];
  size_t count_ = 0;
};

}  // namespace

WorkloadResult RunWorkload(size_t scale) {
  Workload workload(scale);
  return workload.Run();
}

std::string CheckAfterwards() {
  hak_trim(0);
  if (const uint64_t blocks = huge::GetStatistics().blocks; blocks != 0) {
    return std::to_string(blocks) + " huge blocks are left";
  }
  if (const uint64_t slots = pool::GetStatistics().active_slots; slots != 0) {
    return std::to_string(slots) + " slabs are left in use";
  }
  const WorkloadResult again = RunWorkload(1);
  if (!again.problem.empty()) return "afterwards: " + again.problem;
  if (again.refused != 0) return "afterwards: " + std::to_string(again.refused) + " requests refused";
  return "";
}

}  // namespace hakmem::testing
