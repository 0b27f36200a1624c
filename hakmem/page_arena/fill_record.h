// Whether programs fill blocks of a size, or only touch parts of them: a huge page makes resident what nobody touches.
//
// It is watched. Memory for a block in small pages that was never touched is the witness; when the next memory for
// blocks of about that size is wanted, the system tells how much of the witness is resident. A huge page itself cannot
// be asked: all of it is. Where no such memory comes along a witness is wanted when a good deal has gone into huge
// pages on trust.
//
// All functions are thread-safe. What they say is a hint: threads that ask at once may all get the same answer.
#ifndef HAKMEM_PAGE_ARENA_FILL_RECORD_H_
#define HAKMEM_PAGE_ARENA_FILL_RECORD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hakmem::arena {

class FillRecord {
 public:
  enum class Advice : uint8_t {
    kFilled,   // blocks of this size are used from end to end, as far as is known
    kUnknown,  // a new witness is wanted
    kPending,  // the same, but there is one, which the program may not have come to fill yet
    kSparse,   // the last witness was touched in parts only; a new one is wanted
  };

  struct Answer {
    Advice advice;
    size_t bytes;  // how much of what was asked for may lie in huge pages
  };

  constexpr FillRecord() = default;

  // What is known of blocks of `size` bytes, a page at least, before `bytes` bytes are used for them. Trust lasts for
  // as much as four blocks, 2 MiB at least and 16 at the most; where a witness was filled, for four times as much, then
  // for 16 times. Once it has ended, as much again may lie in huge pages until there is a verdict. A block that grows
  // is trusted for as much as the `had` bytes that it had, in any case.
  Answer Ask(size_t size, size_t bytes, size_t had = 0);

  // Whether the last witness was touched in parts only.
  bool SeemsSparse(size_t size) const {
    return groups_[GroupOf(size)].last.load(std::memory_order_relaxed) == Advice::kSparse;  // a hint, orders nothing
  }

  // Whether the last witness was filled.
  bool SeemsFilled(size_t size) const {
    return groups_[GroupOf(size)].filled.load(std::memory_order_relaxed) != 0;  // a hint, orders nothing
  }

  // Makes the first `bytes` bytes, at most 2 MiB, of a block of `size` bytes the witness, unless there is one. They lie
  // in small pages, from `start` at a page border, and were never touched.
  void Watch(size_t size, const char* start, size_t bytes);

  // The `bytes` bytes from `from` on are at `to` now, and with them a witness that lies there.
  void Follow(const char* from, size_t bytes, const char* to);

  // `bytes` bytes from `start` on, of a block of `size` bytes, are the program's no more: a witness that lies there has
  // told what it can.
  void Leave(size_t size, const char* start, size_t bytes);

 private:
  static constexpr unsigned kLeastShift = 12;
  // An octave each; one is for all from 2 to 8 MiB, one for all above. A program whose blocks grow would pass through
  // many, each with trust of its own, before there is a verdict.
  static constexpr unsigned kLongShift = 21;
  static constexpr unsigned kLongestShift = 23;
  static constexpr unsigned kGroups = kLongShift - kLeastShift + 2;
  // A program may allocate before it fills, and other threads allocate while one fills. So a witness that is not filled
  // is looked at so often before it counts as touched in parts only; or less often, once so many milliseconds have gone
  // by.
  static constexpr uint8_t kMostLooks = 16;
  static constexpr uint8_t kLeastLooks = 4;
  static constexpr uint64_t kFillMs = 20;
  static constexpr uint8_t kMostFilled = 2;
  struct Group {
    std::atomic<const char*> witness{nullptr};  // nullptr: there is none
    std::atomic<size_t> bytes{0};
    std::atomic<uint64_t> since_ms{0};
    std::atomic<size_t> used{0};     // since the last verdict, on trust
    std::atomic<uint8_t> filled{0};  // how many witnesses were, one after the other, kMostFilled at the most
    std::atomic<uint8_t> looks{0};
    std::atomic<Advice> last{Advice::kUnknown};
  };
  static unsigned GroupOf(size_t size);
  static size_t TrustOf(const Group& group, size_t size);
  static Advice Judge(Group& group, const char* witness, bool is_last_look);

  Group groups_[kGroups];
};

// Of the whole process.
extern FillRecord g_fill;

}  // namespace hakmem::arena

#endif  // HAKMEM_PAGE_ARENA_FILL_RECORD_H_
