// One thread of a stream of allocator calls that the input decides, checked as it goes: alignment, contents, zeroes,
// usable size, errno, what realloc keeps, and that no two live blocks overlap.
#ifndef HAKMEM_FUZZ_PLAYER_H_
#define HAKMEM_FUZZ_PLAYER_H_

#include <errno.h>
#include <hakmem/hakmem.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "fuzz/input.h"

namespace hakmem::fuzz {

// An allocator as a table, so that one stream can be played on two.
struct Calls {
  void* (*malloc)(size_t);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  void* (*reallocarray)(void*, size_t, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  int (*posix_memalign)(void**, size_t, size_t);
  void (*free)(void*);
  void (*free_sized)(void*, size_t);
  void (*free_aligned_sized)(void*, size_t, size_t);
  size_t (*usable_size)(const void*);
  int (*trim)(size_t);
  bool keeps_errno;  // of calls that succeed
};

inline constexpr Calls kHakmem = {
    hak_malloc,         hak_calloc, hak_realloc,    hak_reallocarray,       hak_aligned_alloc,
    hak_posix_memalign, hak_free,   hak_free_sized, hak_free_aligned_sized, hak_usable_size,
    hak_trim,           true,
};

struct Held {
  unsigned char* p = nullptr;
  size_t size = 0;
  unsigned char mark = 0;
  // How it may be freed: 0 with its size (malloc, calloc, realloc), 1 by free alone, else with its alignment and size.
  size_t alignment = 0;

  // The bytes that are written and looked at: both ends, and one in each page between.
  template <class Visit>
  void ForEachSample(size_t most, Visit visit) const {
    const size_t end = size < most ? size : most;
    for (size_t i = 0; i < end && i < 32; ++i) visit(i);
    for (size_t i = 4096; i < end; i += 4096) visit(i);
    if (end == size && size != 0) visit(size - 1);
  }
  void Fill() const {
    ForEachSample(size, [&](size_t i) { p[i] = static_cast<unsigned char>(mark + i); });
  }
  void Check(size_t most) const {
    ForEachSample(most, [&](size_t i) { FUZZ_CHECK(p[i] == static_cast<unsigned char>(mark + i)); });
  }
};

class Player {
 public:
  static constexpr size_t kMostBlocks = 64;
  static constexpr size_t kMostBytes = size_t{32} << 20;

  Player(const Calls& calls, Input input) : calls_(calls), input_(input) {}
  ~Player() {
    while (!held_.empty()) Free(held_.size() - 1);
  }

  Input& input() { return input_; }

  // One call. Returns what the standard fixes of its result: the same number on every allocator.
  uint64_t Step() {
    const unsigned op = input_.Byte();
    switch (op % 10) {
      case 0:
      case 1: return Take(Size(), 0, [&](size_t n) { return calls_.malloc(n); });
      case 2: return Calloc();
      case 3: return AlignedAlloc();
      case 4: return PosixMemalign();
      case 5:
      case 6: return held_.empty() ? 0 : Realloc(input_.Below(held_.size()));
      case 7:
      case 8: return held_.empty() ? 0 : Free(input_.Below(held_.size()));
      default: return Refused(op);
    }
  }

  // A block changes hands.
  bool GiveAway(Held* to) {
    if (held_.empty()) return false;
    *to = held_.back();
    held_.pop_back();
    bytes_ -= to->size;
    return true;
  }
  void Adopt(const Held& held) {
    held.Check(held.size);
    bytes_ += held.size;
    held_.push_back(held);
  }

  void CheckNoOverlap() const {
    std::map<unsigned char*, size_t> live;
    for (const Held& held : held_) FUZZ_CHECK(live.emplace(held.p, held.size).second);
    const unsigned char* end = nullptr;
    for (const auto& [p, size] : live) {
      FUZZ_CHECK(p >= end);
      end = p + size;
    }
  }

 private:
  size_t Size() {
    const unsigned kind = input_.Byte();
    if (kind < 160) return input_.Below(1100);
    if (kind < 220) return input_.Below(70000);
    if (kind < 250) return input_.Below(size_t{1} << 20);
    return input_.Below(size_t{5} << 20);
  }

  bool HasRoom(size_t size) const { return held_.size() < kMostBlocks && bytes_ + size <= kMostBytes; }

  void Keep(void* p, size_t size, size_t alignment) {
    FUZZ_CHECK(calls_.usable_size(p) >= size);
    held_.push_back(
        {static_cast<unsigned char*>(p), size, static_cast<unsigned char>(size * 31 + held_.size()), alignment});
    held_.back().Fill();
    bytes_ += size;
  }

  template <class Allocate>
  uint64_t Take(size_t size, size_t alignment, Allocate allocate) {
    if (!HasRoom(size)) return 0;
    const size_t least = alignment != 0 ? alignment : size >= 16 ? 16 : 8;
    errno = 0;
    void* p = allocate(size);
    FUZZ_CHECK(p != nullptr);
    FUZZ_CHECK(errno == 0 || !calls_.keeps_errno);
    FUZZ_CHECK(reinterpret_cast<uintptr_t>(p) % least == 0);
    Keep(p, size, alignment);
    return 1;
  }

  // A multiple of the alignment, which older standards ask for and some allocators insist on.
  uint64_t AlignedAlloc() {
    const size_t alignment = size_t{16} << input_.Below(12);
    const size_t size = (Size() + alignment) & ~(alignment - 1);
    return Take(size, alignment, [&](size_t n) { return calls_.aligned_alloc(alignment, n); });
  }

  uint64_t Calloc() {
    const size_t size = Size();
    if (!HasRoom(size)) return 0;
    const size_t parts = 1 + input_.Below(8);
    void* p = calls_.calloc(parts, size / parts);
    FUZZ_CHECK(p != nullptr);
    const Held fresh = {static_cast<unsigned char*>(p), size / parts * parts, 0, 0};
    for (size_t i = 0; i < fresh.size; ++i) FUZZ_CHECK(fresh.p[i] == 0);
    Keep(p, fresh.size, 0);
    return 1;
  }

  uint64_t PosixMemalign() {
    const size_t alignment = input_.Byte() % 4 == 0 ? input_.Below(100) : size_t{8} << input_.Below(14);
    const size_t size = Size();
    if (!HasRoom(size)) return 0;
    void* const untouched = &bytes_;
    void* p = untouched;
    errno = 1;
    const int error = calls_.posix_memalign(&p, alignment, size);
    FUZZ_CHECK(errno == 1 || !calls_.keeps_errno);
    const bool valid = alignment % sizeof(void*) == 0 && alignment != 0 && (alignment & (alignment - 1)) == 0;
    FUZZ_CHECK(error == (valid ? 0 : EINVAL));
    if (!valid) {
      FUZZ_CHECK(p == untouched);
      return static_cast<uint64_t>(error);
    }
    FUZZ_CHECK(reinterpret_cast<uintptr_t>(p) % alignment == 0);
    Keep(p, size, 1);
    return 0;
  }

  uint64_t Realloc(size_t i) {
    const Held had = held_[i];
    const size_t size = Size();
    if (size == 0 || bytes_ + size > kMostBytes) return 0;
    had.Check(had.size);
    void* p = input_.Byte() % 2 == 0 ? calls_.realloc(had.p, size) : calls_.reallocarray(had.p, 1, size);
    FUZZ_CHECK(p != nullptr);
    bytes_ -= had.size;
    held_[i] = held_.back();
    held_.pop_back();
    const Held moved = {static_cast<unsigned char*>(p), size, had.mark, 0};
    // The last byte of a block that grew is not looked at: it is not the old block's.
    const size_t kept = had.size < size ? had.size : size;
    moved.ForEachSample(kept, [&](size_t at) {
      if (at < had.size && at < 32) FUZZ_CHECK(moved.p[at] == static_cast<unsigned char>(had.mark + at));
      if (at % 4096 == 0) FUZZ_CHECK(moved.p[at] == static_cast<unsigned char>(had.mark + at));
    });
    Keep(p, size, 0);
    return 1;
  }

  uint64_t Free(size_t i) {
    const Held held = held_[i];
    held_[i] = held_.back();
    held_.pop_back();
    bytes_ -= held.size;
    held.Check(held.size);
    errno = 1;
    if (held.mark % 2 == 0 || held.alignment == 1) {
      calls_.free(held.p);
    } else if (held.alignment != 0) {
      calls_.free_aligned_sized(held.p, held.alignment, held.size);
    } else {
      calls_.free_sized(held.p, held.size);
    }
    FUZZ_CHECK(errno == 1 || !calls_.keeps_errno);
    return 0;
  }

  // What no allocator can serve.
  uint64_t Refused(unsigned op) {
    errno = 0;
    void* p = nullptr;
    // Not a constant, or the compiler warns.
    volatile size_t much = SIZE_MAX - input_.Below(5000);
    switch (op / 10 % 5) {
      case 0: p = calls_.malloc(much); break;
      case 1: p = calls_.calloc(much / 2, 3); break;
      case 2:
        if (held_.empty()) return 0;
        p = calls_.realloc(held_[0].p, much);
        held_[0].Check(held_[0].size);
        break;
      case 3:
        if (held_.empty()) return 0;
        p = calls_.reallocarray(held_[0].p, much / 4, 5);
        held_[0].Check(held_[0].size);
        break;
      default: calls_.trim(0); return 0;
    }
    FUZZ_CHECK(p == nullptr && errno == ENOMEM);
    return ENOMEM;
  }

  const Calls& calls_;
  Input input_;
  std::vector<Held> held_;
  size_t bytes_ = 0;
};

}  // namespace hakmem::fuzz

#endif  // HAKMEM_FUZZ_PLAYER_H_
