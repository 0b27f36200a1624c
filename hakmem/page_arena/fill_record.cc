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
  Advice advice = SeemsSparse(size) ? Advice::kSparse : Advice::kUnknown;
  if (const char* at = group.at.load(std::memory_order_relaxed); at != nullptr) {  // a hint, orders nothing
    advice = Judge(group, at);
  }
  if (advice == Advice::kSparse || SeemsSparse(size)) return advice;
  const size_t used = group.used.load(std::memory_order_relaxed);  // as above
  if (used >= TrustOf(group, size)) return advice == Advice::kFilled ? Advice::kUnknown : advice;
  group.used.store(used + bytes, std::memory_order_relaxed);  // as above
  return Advice::kFilled;
}

// What the witness at `at` tells; the verdict, unless it is pending, is the group's from here on.
FillRecord::Advice FillRecord::Judge(Group& group, const char* at) {
  const size_t bytes = group.bytes.load(std::memory_order_relaxed);  // a hint, orders nothing
  const size_t resident = os::ResidentBytes(at, bytes);
  const char* const start = group.start.load(std::memory_order_relaxed);  // as above
  if (resident == 0 && (start == at || os::ResidentBytes(start, os::PageSize()) == 0)) {
    const uint8_t looked = group.looked.load(std::memory_order_relaxed);              // as above
    group.looked.store(static_cast<uint8_t>(looked + 1), std::memory_order_relaxed);  // as above
    if (looked >= kPatience) group.at.store(nullptr, std::memory_order_relaxed);      // as above
    return Advice::kPending;
  }
  const bool is_filled = resident >= bytes / 4 * 3;
  const Advice advice = is_filled ? Advice::kFilled : Advice::kSparse;
  uint8_t filled = 0;
  if (is_filled) {
    const uint8_t before = group.filled.load(std::memory_order_relaxed);  // as above
    filled = before < kMostFilled ? static_cast<uint8_t>(before + 1) : kMostFilled;
  }
  group.filled.store(filled, std::memory_order_relaxed);  // as above
  group.last.store(advice, std::memory_order_relaxed);    // as above
  group.used.store(0, std::memory_order_relaxed);         // as above
  group.at.store(nullptr, std::memory_order_relaxed);     // as above
  return advice;
}

void FillRecord::Watch(size_t size, const char* start, const char* at, size_t bytes) {
  Group& group = groups_[GroupOf(size)];
  if (group.at.load(std::memory_order_relaxed) != nullptr) return;  // a hint, orders nothing
  group.looked.store(0, std::memory_order_relaxed);                 // as above
  group.start.store(start, std::memory_order_relaxed);              // as above
  group.bytes.store(bytes, std::memory_order_relaxed);              // as above
  group.at.store(at, std::memory_order_relaxed);                    // as above
}

}  // namespace hakmem::arena
