#include "hakmem/page_arena/fill_record.h"

#include "hakmem/platform/os.h"

namespace hakmem::arena {

constinit FillRecord g_fill;

// Relaxed, all below: hints, which decide nothing but page sizes. A witness that is read half, or whose memory is
// another block's by now, makes one wrong answer.

unsigned FillRecord::GroupOf(size_t size) {
  const unsigned octave = 63 - static_cast<unsigned>(__builtin_clzll(size));
  if (octave <= kLeastShift) return 0;
  if (octave >= kLongestShift) return kGroups - 1;
  return octave < kLongShift ? octave - kLeastShift : kGroups - 2;
}

size_t FillRecord::TrustOf(const Group& group, size_t size) {
  // Of blocks that are touched here and there all of that becomes resident.
  constexpr size_t kLeast = size_t{2} << 20;
  constexpr size_t kMost = size_t{16} << 20;
  const size_t blocks = size < kLeast / 4 ? kLeast : size < kMost / 4 ? 4 * size : kMost;
  return blocks << 2 * group.filled.load(std::memory_order_relaxed);  // a hint, orders nothing
}

FillRecord::Answer FillRecord::Ask(size_t size, size_t bytes, size_t had) {
  Group& group = groups_[GroupOf(size)];
  Advice advice = Advice::kUnknown;
  if (const char* witness = group.witness.load(std::memory_order_relaxed); witness != nullptr) {  // a hint
    advice = Judge(group, witness, false);
  }
  if (SeemsSparse(size)) return {Advice::kSparse, 0};
  const size_t in_any_case = TrustOf(group, size);
  const size_t trust = had > in_any_case ? had : in_any_case;
  const size_t used = group.used.load(std::memory_order_relaxed);  // as above
  // A block is trusted as a whole or, when it is longer than that, for so much.
  const size_t granted = used >= 2 * trust ? 0 : bytes < trust ? bytes : trust;
  group.used.store(used + granted, std::memory_order_relaxed);  // as above
  if (used < trust) return {Advice::kFilled, granted};
  return {advice == Advice::kFilled ? Advice::kUnknown : advice, granted};
}

// What the witness tells; the verdict, unless it is pending, is the group's from here on.
FillRecord::Advice FillRecord::Judge(Group& group, const char* witness, bool is_last_look) {
  const size_t bytes = group.bytes.load(std::memory_order_relaxed);  // a hint, orders nothing
  const bool is_filled = os::ResidentBytes(witness, bytes) >= bytes / 4 * 3;
  if (!is_filled && !is_last_look) {
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

void FillRecord::Follow(const char* from, size_t bytes, const char* to) {
  for (Group& group : groups_) {
    const char* const witness = group.witness.load(std::memory_order_relaxed);  // a hint, orders nothing
    if (witness == nullptr || witness < from || witness >= from + bytes) continue;
    group.witness.store(to + (witness - from), std::memory_order_relaxed);  // as above
  }
}

void FillRecord::Leave(size_t size, const char* start, size_t bytes) {
  Group& group = groups_[GroupOf(size)];
  const char* const witness = group.witness.load(std::memory_order_relaxed);  // a hint, orders nothing
  if (witness != nullptr && witness >= start && witness < start + bytes) Judge(group, witness, true);
}

}  // namespace hakmem::arena
