#include "hakmem/page_arena/fill_record.h"

#include "hakmem/platform/os.h"

namespace hakmem::arena {

constinit FillRecord g_fill;

// Relaxed, all below: hints, which decide nothing but page sizes. A witness that is read half, or whose memory is
// another block's by now, makes one wrong answer.

unsigned FillRecord::GroupOf(size_t size) {
  const unsigned octave = 63 - static_cast<unsigned>(__builtin_clzll(size));
  if (octave <= kLeastShift) return 0;
  return octave - kLeastShift < kGroups ? octave - kLeastShift : kGroups - 1;
}

size_t FillRecord::TrustOf(const Group& group, size_t size) {
  constexpr size_t kLeast = size_t{2} << 20;
  const size_t blocks = size < kLeast / 4 ? kLeast : 4 * size;
  return blocks << 2 * group.filled.load(std::memory_order_relaxed);  // a hint, orders nothing
}

FillRecord::Advice FillRecord::Ask(size_t size, size_t bytes) {
  Group& group = groups_[GroupOf(size)];
  Advice advice = Advice::kUnknown;
  if (const char* witness = group.witness.load(std::memory_order_relaxed); witness != nullptr) {  // a hint
    advice = Judge(group, witness);
  }
  if (SeemsSparse(size)) return Advice::kSparse;
  const size_t used = group.used.load(std::memory_order_relaxed);  // as above
  if (used >= TrustOf(group, size)) return advice == Advice::kFilled ? Advice::kUnknown : advice;
  group.used.store(used + bytes, std::memory_order_relaxed);  // as above
  return Advice::kFilled;
}

// What the witness tells; the verdict, unless it is pending, is the group's from here on.
FillRecord::Advice FillRecord::Judge(Group& group, const char* witness) {
  const size_t bytes = group.bytes.load(std::memory_order_relaxed);  // a hint, orders nothing
  const bool is_filled = os::ResidentBytes(witness, bytes) >= bytes / 4 * 3;
  if (!is_filled) {
    const uint8_t looks = group.looks.load(std::memory_order_relaxed);              // as above
    const uint64_t since = group.since_ms.load(std::memory_order_relaxed);          // as above
    group.looks.store(static_cast<uint8_t>(looks + 1), std::memory_order_relaxed);  // as above
    const bool is_old = looks >= kLeastLooks && os::NowMs() - since >= kFillMs;
    if (looks < kMostLooks && !is_old) return Advice::kPending;
  }
  const Advice advice = is_filled ? Advice::kFilled : Advice::kSparse;
  uint8_t filled = 0;
  if (is_filled) {
    const uint8_t before = group.filled.load(std::memory_order_relaxed);  // as above
    filled = before < kMostFilled ? static_cast<uint8_t>(before + 1) : kMostFilled;
  }
  group.filled.store(filled, std::memory_order_relaxed);    // as above
  group.last.store(advice, std::memory_order_relaxed);      // as above
  group.used.store(0, std::memory_order_relaxed);           // as above
  group.witness.store(nullptr, std::memory_order_relaxed);  // as above
  return advice;
}

void FillRecord::Watch(size_t size, const char* start, size_t bytes) {
  Group& group = groups_[GroupOf(size)];
  if (group.witness.load(std::memory_order_relaxed) != nullptr) return;  // a hint, orders nothing
  group.looks.store(0, std::memory_order_relaxed);                       // as above
  group.since_ms.store(os::NowMs(), std::memory_order_relaxed);          // as above
  group.bytes.store(bytes, std::memory_order_relaxed);                   // as above
  group.witness.store(start, std::memory_order_relaxed);                 // as above
}

}  // namespace hakmem::arena
