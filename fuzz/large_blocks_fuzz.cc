// Large blocks, realloc and mremap, with system calls that fail when the input says so.
//
// Each block's contents are a function of its seed, written where a page can go astray: at the start of each of its
// first pages, and at both ends. Without a failing call nothing may fail below a bound; with one, ENOMEM, and
// everything that was there before is untouched.

#include <errno.h>
#include <hakmem/hakmem.h>

#include <vector>

#include "fuzz/input.h"
#include "hakmem/config/options.h"
#include "hakmem/large/huge.h"
#include "hakmem/page_arena/page_arena.h"
#include "testing/failing_calls/fault_plan.h"

namespace hakmem {
namespace {

using testing::FaultPlan;

constexpr size_t kMostBlocks = 8;
constexpr size_t kMostStamps = 24;
// What all blocks together may have, so that the machine's memory never decides.
constexpr size_t kMostBytes = size_t{256} << 20;

struct Held {
  char* p = nullptr;
  size_t size = 0;
  uint64_t seed = 0;
};

// Where stamps stand in `size` bytes; the same places in any size that is longer.
size_t StampAt(size_t i) { return i < kMostStamps / 2 ? i * 4096 : (i - kMostStamps / 2 + 1) * (size_t{2} << 20) - 8; }

void Write(const Held& held) {
  for (size_t i = 0; i < kMostStamps; ++i) {
    const size_t at = StampAt(i);
    if (at + 8 <= held.size) *reinterpret_cast<uint64_t*>(held.p + at) = held.seed + at;
  }
}

// Whether the first `size` bytes hold what was written for `held`, or zeroes.
void Check(const Held& held, size_t size, bool zero) {
  for (size_t i = 0; i < kMostStamps; ++i) {
    const size_t at = StampAt(i);
    if (at + 8 > size) continue;
    const uint64_t want = zero ? 0 : held.seed + at;
    FUZZ_CHECK(*reinterpret_cast<const uint64_t*>(held.p + at) == want);
  }
}

class Run {
 public:
  explicit Run(fuzz::Input input) : input_(input) {}

  void All() {
    while (!input_.done()) Step();
    FaultPlan::Clear();
    for (Held& held : held_) Free(held);
    FUZZ_CHECK(huge::GetStatistics().blocks == 0);
    // The heap works afterwards.
    Held last = {static_cast<char*>(hak_malloc(3 << 20)), 3 << 20, 7};
    FUZZ_CHECK(last.p != nullptr);
    Write(last);
    Check(last, last.size, false);
    hak_free(last.p);
    hak_trim(0);
  }

 private:
  size_t Size() {
    switch (input_.Byte() % 8) {
      case 0: return 1 + input_.Below(size_t{1} << 20);
      case 1: return (size_t{1} << 20) + input_.Below(4096);
      case 2: return (1 + input_.Below(6)) << 21;
      case 3: return ((1 + input_.Below(6)) << 21) + 1;
      case 4: return ((1 + input_.Below(6)) << 21) - input_.Below(8192);
      case 5: return 1 + input_.Below(size_t{12} << 20);
      case 6: return 1 + input_.Below(size_t{8} << 20);
      default: return SIZE_MAX >> input_.Below(18);  // the larger half cannot be had
    }
  }

  // Before a call that can fail.
  void Begin() {
    errno = 0;
    failed_before_ = FaultPlan::failed();
  }

  // After a call that could have failed: `got` tells whether it did not. True when the block is there.
  bool Outcome(const void* got, size_t size) {
    if (got != nullptr) {
      FUZZ_CHECK(size <= PTRDIFF_MAX);
      return true;
    }
    FUZZ_CHECK(errno == ENOMEM);
    // Only what was made to fail in this very call may fail it.
    FUZZ_CHECK(size > kMostBytes || FaultPlan::failed() != failed_before_);
    return false;
  }

  bool TooMuch(size_t size, size_t instead_of) const {
    return size <= kMostBytes && bytes_ - instead_of + size > kMostBytes;
  }

  void Take(Held& held, void* p, size_t size) {
    if (size > kMostBytes) {
      // Address space for the asking: the machine has it, the test does not want it.
      hak_free(p);
      return;
    }
    held = {static_cast<char*>(p), size, uint64_t{size} << 20 | input_.Byte()};
    FUZZ_CHECK(hak_usable_size(p) >= size);
    FUZZ_CHECK(hak_owns(p) == 1);
    Write(held);
    bytes_ += size;
  }

  void Free(Held& held) {
    if (held.p == nullptr) return;
    Check(held, held.size, false);
    hak_free(held.p);
    bytes_ -= held.size;
    held = {};
  }

  void Allocate(Held& held, unsigned how) {
    const size_t size = Size();
    if (TooMuch(size, 0)) return;
    Begin();
    if (how == 0) {
      void* p = hak_malloc(size);
      if (Outcome(p, size)) Take(held, p, size);
    } else if (how == 1) {
      void* p = hak_calloc(1, size);
      if (!Outcome(p, size)) return;
      const Held fresh = {static_cast<char*>(p), size, 0};
      if (size <= kMostBytes) Check(fresh, size, true);
      Take(held, p, size);
    } else {
      const size_t alignment = size_t{16} << input_.Below(20);
      void* p = hak_aligned_alloc(alignment, size);
      if (!Outcome(p, size)) return;
      FUZZ_CHECK(reinterpret_cast<uintptr_t>(p) % alignment == 0);
      Take(held, p, size);
    }
  }

  void Resize(Held& held) {
    const size_t size = Size();
    if (TooMuch(size, held.size) || size > kMostBytes) return;
    Begin();
    void* p = hak_realloc(held.p, size);
    if (!Outcome(p, size)) {
      Check(held, held.size, false);
      return;
    }
    // Programs do not expect a block that shrinks to fail.
    const size_t had = held.size;
    held.p = static_cast<char*>(p);
    Check(held, had < size ? had : size, false);
    bytes_ += size - had;
    held.size = size;
    FUZZ_CHECK(hak_usable_size(p) >= size);
    Write(held);
  }

  void Step() {
    const unsigned op = input_.Byte();
    Held& held = held_[input_.Below(kMostBlocks)];
    switch (op % 8) {
      case 0:
        if (testing::kFaultsPossible) {
          const auto call = static_cast<os::Call>(input_.Below(static_cast<size_t>(os::Call::kCount)));
          const uint64_t first = 1 + input_.Below(4);
          FaultPlan::Set(call, first, input_.Byte() % 4 == 0 ? FaultPlan::kForEver : 1 + input_.Below(3));
        }
        return;
      case 1: FaultPlan::Clear(); return;
      case 2: hak_trim(0); return;
      default: break;
    }
    if (held.p == nullptr) {
      Allocate(held, op / 8 % 3);
    } else if (op % 8 < 6) {
      Resize(held);
    } else {
      Free(held);
    }
  }

  fuzz::Input input_;
  Held held_[kMostBlocks];
  size_t bytes_ = 0;
  uint64_t failed_before_ = 0;
};

}  // namespace
}  // namespace hakmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint64_t taken = hakmem::arena::GetUsage().taken;
  hakmem::Run(hakmem::fuzz::Input(data, size)).All();
  // One superslab or two of small blocks may stay; huge blocks do not.
  FUZZ_CHECK(hakmem::arena::GetUsage().taken <= taken + (size_t{32} << 20));
  return 0;
}
