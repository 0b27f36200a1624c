#include "hakmem/page_arena/page_arena.h"

#include <atomic>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/os.h"

namespace hakmem {

constinit IdleBudget g_idle;

namespace arena {
namespace {

constinit Lock lock{LockRank::kArena};

// What is known of 64 pieces of the window, a bit for each, side by side: a process of a few pieces touches one page of
// the table, not one for each thing that is known. The words are atomic because the holder of a run reads its own bits
// without the lock; relaxed, because the lock, or holding the run, orders everything else.
struct alignas(64) PieceBits {
  std::atomic<uint64_t> taken;
  std::atomic<uint64_t> mapped;
  std::atomic<uint64_t> dirty;
  std::atomic<uint64_t> purged;  // not dirty because it was purged: using it again is a refault
  std::atomic<uint64_t> huge;    // advised to be a huge page
};
constinit PieceBits table[kWindowSuperslabs / 64] = {};

template <std::atomic<uint64_t> PieceBits::* kWord>
class PieceSet {
 public:
  bool Has(uint32_t i) const { return (Word(i) >> (i % 64)) & 1; }
  uint64_t Word(uint32_t i) const { return WordOf(i).load(std::memory_order_relaxed); }  // see PieceBits

 protected:
  static constexpr uint64_t Bit(uint32_t i) { return uint64_t{1} << (i % 64); }
  static std::atomic<uint64_t>& WordOf(uint32_t i) { return table[i / 64].*kWord; }
};

// Changed under the lock alone: without it an atomic addition for each piece would be half of what a huge block costs.
template <std::atomic<uint64_t> PieceBits::* kWord>
class LockedSet : public PieceSet<kWord> {
 public:
  void Add(uint32_t i) const HAK_REQUIRES(lock) { Set(i, this->Word(i) | this->Bit(i)); }
  void Remove(uint32_t i) const HAK_REQUIRES(lock) { Set(i, this->Word(i) & ~this->Bit(i)); }

 private:
  static void Set(uint32_t i, uint64_t word) {
    PieceSet<kWord>::WordOf(i).store(word, std::memory_order_relaxed);  // see PieceBits
  }
};

// Changed by who holds the piece.
template <std::atomic<uint64_t> PieceBits::* kWord>
class HeldSet : public PieceSet<kWord> {
 public:
  void Add(uint32_t i) const { this->WordOf(i).fetch_or(this->Bit(i), std::memory_order_relaxed); }  // see PieceBits
  void Remove(uint32_t i) const { this->WordOf(i).fetch_and(~this->Bit(i), std::memory_order_relaxed); }  // ditto
};

constexpr LockedSet<&PieceBits::taken> taken;
constexpr HeldSet<&PieceBits::mapped> mapped;
constexpr LockedSet<&PieceBits::dirty> dirty;
constexpr LockedSet<&PieceBits::purged> purged;
constexpr HeldSet<&PieceBits::huge> huge;
// No piece at or above was ever taken.
constinit uint32_t high_water HAK_GUARDED_BY(lock) = kFirstSuperslab;
constinit uint64_t taken_pieces HAK_GUARDED_BY(lock) = 0;
constinit uint64_t idle_pieces HAK_GUARDED_BY(lock) = 0;
constinit std::atomic<uint64_t> outside_bytes{0};
void ReleaseNothing() {}
constinit void (*release_kept)() = ReleaseNothing;

uint32_t IndexOf(const void* address) { return static_cast<uint32_t>(WindowOffset(address) >> kSuperslabShift); }

struct Run {
  uint32_t first = 0;
  uint32_t count = 0;
};

// The pieces of the word of `i` that are free; with `only_dirty` the idle ones.
template <bool only_dirty>
uint64_t FreeBits(uint32_t i) HAK_REQUIRES(lock) {
  return only_dirty ? dirty.Word(i) & ~taken.Word(i) : ~taken.Word(i);
}

// The lowest run of `count` such pieces that is aligned to `step` pieces; there is none at or above `limit`.
template <bool only_dirty>
Run FindAlignedRun(uint32_t count, uintptr_t step, uint32_t limit) HAK_REQUIRES(lock) {
  const uintptr_t base_pieces = g_window_base >> kSuperslabShift;
  uint32_t i = kFirstSuperslab;
  while (i < limit) {
    const uintptr_t at = (base_pieces + i + step - 1) / step * step - base_pieces;
    if (at >= limit || count > kWindowSuperslabs - at) break;
    i = static_cast<uint32_t>(at);
    uint32_t n = 0;
    while (n < count && ((FreeBits<only_dirty>(i + n) >> ((i + n) % 64)) & 1) != 0) ++n;
    if (n == count) return {i, count};
    i += n + 1;
  }
  return {};
}

// The same, wherever it starts. A word at a time: among many holes that are too short a look at each piece would take
// a millisecond under the lock.
template <bool only_dirty>
Run FindRunInWords(uint32_t count, uint32_t limit) HAK_REQUIRES(lock) {
  static_assert(kFirstSuperslab % 64 == 0 && kWindowSuperslabs % 64 == 0);
  uint32_t before = 0;  // free pieces that end where the word begins
  for (uint32_t i = kFirstSuperslab; i < limit; i += 64) {
    const uint64_t fit = FreeBits<only_dirty>(i);
    if (fit == 0) {
      before = 0;
      continue;
    }
    const uint32_t low = ~fit == 0 ? 64 : static_cast<uint32_t>(__builtin_ctzll(~fit));
    if (before + low >= count) return {i - before, count};
    if (low == 64) {
      before += 64;
      continue;
    }
    // Bits at which a run of `n` begins: those of half that length that are followed by another such.
    uint64_t starts = fit;
    for (uint32_t n = 1; n < count && starts != 0;) {
      const uint32_t more = count - n < n ? count - n : n;
      starts &= starts >> more;
      n += more;
    }
    if (starts != 0) return {i + static_cast<uint32_t>(__builtin_ctzll(starts)), count};
    before = static_cast<uint32_t>(__builtin_clzll(~fit));
  }
  return {};
}

// The lowest free run of `count` pieces aligned to `alignment`, where none is at or above `limit`; with `only_dirty` of
// idle pieces only.
template <bool only_dirty>
Run FindRun(uint32_t count, size_t alignment, uint32_t limit) HAK_REQUIRES(lock) {
  const uintptr_t step = alignment >> kSuperslabShift;
  return step > 1 ? FindAlignedRun<only_dirty>(count, step, limit) : FindRunInWords<only_dirty>(count, limit);
}

// What a run that was taken is worth beside what is idle.
struct Taken {
  size_t purged = 0;  // bytes that were given back, so that using them is a refault
  size_t fresh = 0;   // bytes that were not in use, or not since they were forgotten
};
void CountUse(const Taken& taken_bytes) {
  g_idle.AddRefault(taken_bytes.purged);
  g_idle.AddFresh(taken_bytes.fresh);
}

// For use, if CountUse follows.
Taken Take(Run run) HAK_REQUIRES(lock) {
  size_t dirty_count = 0;
  size_t purged_count = 0;
  for (uint32_t i = run.first; i < run.first + run.count; ++i) {
    HAK_ASSERT(!taken.Has(i));
    taken.Add(i);
    if (dirty.Has(i)) ++dirty_count;
    if (purged.Has(i)) {
      purged.Remove(i);
      ++purged_count;
    }
  }
  taken_pieces += run.count;
  idle_pieces -= dirty_count;
  if (high_water < run.first + run.count) high_water = run.first + run.count;
  g_idle.RemoveIdle(dirty_count * kSuperslabSize);
  return {purged_count * kSuperslabSize, (run.count - dirty_count - purged_count) * kSuperslabSize};
}

// Makes taken pieces free. Those that were written to become idle.
void Free(Run run, bool written) HAK_REQUIRES(lock) {
  size_t idle = 0;
  for (uint32_t i = run.first; i < run.first + run.count; ++i) {
    HAK_ASSERT(taken.Has(i));
    if (written && mapped.Has(i)) dirty.Add(i);
    if (dirty.Has(i)) ++idle;
    taken.Remove(i);
  }
  taken_pieces -= run.count;
  idle_pieces += idle;
  if (idle != 0) g_idle.AddIdle(idle * kSuperslabSize, os::NowMs());
}

// This taken run was given back to the system, and reads as zero.
void MarkPurged(Run run) HAK_REQUIRES(lock) {
  for (uint32_t i = run.first; i < run.first + run.count; ++i) {
    dirty.Remove(i);
    purged.Add(i);
  }
}

// Nothing is mapped in this taken run any more.
void ForgetMapping(Run run) HAK_REQUIRES(lock) {
  for (uint32_t i = run.first; i < run.first + run.count; ++i) {
    mapped.Remove(i);
    dirty.Remove(i);
    huge.Remove(i);
  }
}

// Maps those pieces of a taken run that are not mapped. On failure the run is still taken.
gate::Outcome MapMissing(Run run) {
  const uint32_t end = run.first + run.count;
  for (uint32_t i = run.first; i < end;) {
    if (mapped.Has(i)) {
      ++i;
      continue;
    }
    uint32_t stop = i + 1;
    while (stop < end && !mapped.Has(stop)) ++stop;
    const gate::Outcome outcome = gate::Commit(WindowAddress(i), (stop - i) * kSuperslabSize);
    if (outcome != gate::Outcome::kDone) return outcome;
    for (; i < stop; ++i) mapped.Add(i);
  }
  return gate::Outcome::kDone;
}

// Another mapping stands somewhere in the unmapped part of this taken run: leaves the pieces that it touches taken for
// good, and frees the others.
void SetForeignAside(Run run) {
  for (uint32_t i = run.first; i < run.first + run.count; ++i) {
    bool foreign = false;
    if (!mapped.Has(i)) {
      switch (gate::Commit(WindowAddress(i), kSuperslabSize)) {
        case gate::Outcome::kDone: mapped.Add(i); break;
        case gate::Outcome::kTaken: foreign = true; break;
        case gate::Outcome::kNoMemory: break;
      }
    }
    LockHolder hold(lock);
    if (foreign) {
      --taken_pieces;  // not ours, and never will be
    } else {
      Free({i, 1}, false);
    }
  }
}

void* AcquireInWindow(uint32_t count, size_t alignment) {
  bool reclaimed = false;
  bool asked = false;
  for (;;) {
    Run run;
    Taken had;
    {
      LockHolder hold(lock);
      if (idle_pieces >= count) run = FindRun<true>(count, alignment, high_water);
      if (run.count == 0 && asked) run = FindRun<false>(count, alignment, kWindowSuperslabs);
      if (run.count != 0) had = Take(run);
    }
    if (run.count == 0) {
      if (asked) return nullptr;
      // What is kept is resident, too, and comes before memory that is not.
      release_kept();
      asked = true;
      continue;
    }
    switch (MapMissing(run)) {
      case gate::Outcome::kDone: CountUse(had); return WindowAddress(run.first);
      case gate::Outcome::kTaken: SetForeignAside(run); continue;
      case gate::Outcome::kNoMemory: break;
    }
    {
      LockHolder hold(lock);
      Free(run, false);
    }
    if (reclaimed || UnmapIdle() == 0) return nullptr;
    reclaimed = true;
  }
}

}  // namespace

void* Acquire(size_t count, size_t alignment) {
  if (HasWindow() && count <= kWindowSuperslabs / 4) {
    if (void* address = AcquireInWindow(static_cast<uint32_t>(count), alignment); address != nullptr) return address;
  }
  const size_t size = count << kSuperslabShift;
  void* address = gate::MapOutside(size, alignment);
  if (address == nullptr && UnmapIdle() != 0) address = gate::MapOutside(size, alignment);
  if (address != nullptr) outside_bytes.fetch_add(size, std::memory_order_relaxed);  // an amount, orders nothing
  return address;
}

void Release(void* address, size_t count) {
  if (!InWindow(address)) {
    outside_bytes.fetch_sub(count << kSuperslabShift, std::memory_order_relaxed);  // an amount, orders nothing
    gate::Unmap(address, count << kSuperslabShift);
    return;
  }
  LockHolder hold(lock);
  Free({IndexOf(address), static_cast<uint32_t>(count)}, true);
}

void ReleasePurged(void* address, size_t count) {
  if (!InWindow(address) || !gate::Purge(address, count << kSuperslabShift)) {
    Release(address, count);
    return;
  }
  const Run run = {IndexOf(address), static_cast<uint32_t>(count)};
  LockHolder hold(lock);
  MarkPurged(run);
  Free(run, false);
}

void Discard(void* address, size_t count) {
  HAK_ASSERT(InWindow(address));
  // Refused: nobody knows what is mapped of it. It stays taken for good.
  if (!gate::Unmap(address, count << kSuperslabShift)) return;
  const Run run = {IndexOf(address), static_cast<uint32_t>(count)};
  LockHolder hold(lock);
  ForgetMapping(run);
  Free(run, false);
}

bool ExtendInPlace(void* address, size_t count, size_t more) {
  if (!InWindow(address)) return false;
  const Run run = {static_cast<uint32_t>(IndexOf(address) + count), static_cast<uint32_t>(more)};
  if (more > kWindowSuperslabs / 4 || run.first + run.count > kWindowSuperslabs) return false;
  Taken had;
  {
    LockHolder hold(lock);
    for (uint32_t i = run.first; i < run.first + run.count; ++i) {
      if (taken.Has(i)) return false;
    }
    had = Take(run);
  }
  switch (MapMissing(run)) {
    case gate::Outcome::kDone: CountUse(had); return true;
    case gate::Outcome::kTaken: SetForeignAside(run); return false;
    case gate::Outcome::kNoMemory: break;
  }
  LockHolder hold(lock);
  Free(run, false);
  return false;
}

void Moved(void* from, size_t from_count, void* to, size_t to_count) {
  HAK_ASSERT(InWindow(from) && InWindow(to));
  // The kernel moves its advice with the pages.
  const bool was_huge = huge.Has(IndexOf(from));
  for (uint32_t i = IndexOf(to); i < IndexOf(to) + to_count; ++i) was_huge ? huge.Add(i) : huge.Remove(i);
  const Run run = {IndexOf(from), static_cast<uint32_t>(from_count)};
  LockHolder hold(lock);
  ForgetMapping(run);
  Free(run, false);
}

void SetHugePages(void* address, size_t count, bool wanted) {
  if (g_options.huge_pages != 1 || !InWindow(address)) return;
  const uint32_t end = IndexOf(address) + static_cast<uint32_t>(count);
  for (uint32_t i = IndexOf(address); i < end;) {
    const uint32_t first = i;
    for (; i < end && huge.Has(i) != wanted; ++i) wanted ? huge.Add(i) : huge.Remove(i);
    if (i != first) gate::AdviseHuge(WindowAddress(first), (i - first) * kSuperslabSize, wanted);
    if (i == first) ++i;
  }
}

bool IsHuge(const void* address) { return InWindow(address) && huge.Has(IndexOf(address)); }

bool IsDirty(const void* address, size_t index) {
  return InWindow(address) && dirty.Has(IndexOf(address) + static_cast<uint32_t>(index));
}

void SetKeeper(void (*release)()) { release_kept = release; }

size_t PurgeIdle(size_t bytes) {
  if (bytes != 0) release_kept();
  size_t done = 0;
  uint32_t from = kWindowSuperslabs;
  while (done < bytes) {
    Run run;
    {
      LockHolder hold(lock);
      if (idle_pieces == 0) break;
      uint32_t i = from < high_water ? from : high_water;
      while (i > kFirstSuperslab && !(dirty.Has(i - 1) && !taken.Has(i - 1))) --i;
      if (i == kFirstSuperslab) break;
      run.first = i;
      while (run.first > kFirstSuperslab && dirty.Has(run.first - 1) && !taken.Has(run.first - 1) &&
             run.count * kSuperslabSize < bytes - done) {
        --run.first;
        ++run.count;
        taken.Add(run.first);
      }
      taken_pieces += run.count;
      idle_pieces -= run.count;
      from = run.first;
    }
    g_idle.RemoveIdle(run.count * kSuperslabSize);
    const bool purged_now = gate::Purge(WindowAddress(run.first), run.count * kSuperslabSize);
    LockHolder hold(lock);
    if (purged_now) MarkPurged(run);
    Free(run, false);
    if (purged_now) done += run.count * kSuperslabSize;
  }
  return done;
}

size_t UnmapIdle() {
  release_kept();
  size_t done = 0;
  uint32_t at = kFirstSuperslab;
  for (;;) {
    Run run;
    {
      LockHolder hold(lock);
      while (at < high_water && (taken.Has(at) || !mapped.Has(at))) ++at;
      if (at >= high_water) return done;
      run.first = at;
      while (run.first + run.count < high_water && !taken.Has(run.first + run.count) &&
             mapped.Has(run.first + run.count)) {
        ++run.count;
      }
      (void)Take(run);  // not for use
    }
    const bool unmapped = gate::Unmap(WindowAddress(run.first), run.count * kSuperslabSize);
    at = run.first + run.count;
    LockHolder hold(lock);
    if (unmapped) {
      ForgetMapping(run);
      done += run.count * kSuperslabSize;
    }
    Free(run, false);
  }
}

Usage GetUsage() {
  const uint64_t outside = outside_bytes.load(std::memory_order_relaxed);  // an amount, orders nothing
  LockHolder hold(lock);
  return {taken_pieces * kSuperslabSize + outside, idle_pieces * kSuperslabSize};
}

Lock& ArenaLock() { return lock; }

}  // namespace arena
}  // namespace hakmem
