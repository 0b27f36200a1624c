#include "hakmem/mmap_gate/mmap_gate.h"

#include <errno.h>

#include <atomic>
#include <cstring>

#include "hakmem/config/options.h"
#include "hakmem/diag/log.h"
#include "hakmem/diag/ring.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/poison.h"
#include "hakmem/platform/round_up.h"

namespace hakmem {

constinit uintptr_t g_window_base = kNoWindow;
constinit uintptr_t g_map_base = kNoWindow;

namespace gate {
namespace {

constexpr size_t kMetadataChunk = size_t{256} << 10;
// Under the address sanitizer pieces of metadata stand apart, so that a write past one is seen.
constexpr size_t kMetadataGap = kPoisons ? 64 : 0;
[[maybe_unused]] constexpr size_t kWindowAlignment = size_t{1} << 30;

// Accounts. Relaxed throughout: amounts that are compared with a limit or printed; no data hangs on them.
constinit std::atomic<uint64_t> mapped{0};
constinit std::atomic<uint64_t> mapped_peak{0};
constinit std::atomic<uint64_t> metadata_bytes{0};
constinit std::atomic<uint64_t> purged_bytes{0};
constinit std::atomic<uint64_t> purges_refused{0};

constinit Lock metadata_lock{LockRank::kMetadata};
constinit char* metadata_at HAK_GUARDED_BY(metadata_lock) = nullptr;
constinit char* metadata_end HAK_GUARDED_BY(metadata_lock) = nullptr;
// Where the next chunk of metadata goes in the window; 0 without a window.
constinit std::atomic<uintptr_t> metadata_frontier{0};

void Unbook(size_t size) { mapped.fetch_sub(size, std::memory_order_relaxed); }  // an amount

// Books `size` bytes that are to be mapped, where there is a limit; false when they would pass it. What is refused is
// never booked: it would take the room of what others ask for meanwhile.
bool Book(size_t size) {
  const uint64_t limit = g_options.memory_limit;
  if (limit == 0) return true;
  uint64_t now = mapped.load(std::memory_order_relaxed);  // an amount
  do {
    if (size > limit || now > limit - size) return false;
  } while (!mapped.compare_exchange_weak(now, now + size, std::memory_order_relaxed));  // as above
  return true;
}

// What Book was asked for is mapped now.
void Mapped(size_t size) {
  if (g_options.memory_limit == 0) mapped.fetch_add(size, std::memory_order_relaxed);               // an amount
  const uint64_t now = mapped.load(std::memory_order_relaxed);                                      // as above
  uint64_t peak = mapped_peak.load(std::memory_order_relaxed);                                      // as above
  while (now > peak && !mapped_peak.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {  // as above
  }
}

// Or could not be mapped.
void NotMapped(size_t size) {
  if (g_options.memory_limit != 0) Unbook(size);
}

void ApplyHugePagePolicy(void* address, size_t size) {
  // 0: a system that gives huge pages to everybody would make every superslab resident as a whole.
  if (g_options.huge_pages == 0) os::AdviseHuge(address, size, false);
  if (g_options.huge_pages == 2) os::AdviseHuge(address, size, true);
}

// A place for the window that nobody uses now: random places first, then whatever the kernel proposes.
uintptr_t FindWindowBase() {
#if !defined(HAK_TSAN)
  // Between 16 and 80 TiB: above the address sanitizer's shadow, below the executable and the stack.
  uint64_t random = os::RandomSeed();
  for (int attempt = 0; attempt < 8; ++attempt) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uintptr_t base = (uintptr_t{16} << 40) + ((random >> 20) % (size_t{64} << 10)) * kWindowAlignment;
    const os::MapResult map = os::Map(reinterpret_cast<void*>(base), kAddressMapSize, true, false);
    if (map.ptr != nullptr) return base;
    if (map.error != EEXIST) break;
  }
#endif
  // Address space that is ordered differently (valgrind, a sanitizer): take a hole of the right size. The probe is
  // given back at once, what it was is occupied by the address map.
  const size_t probe_size = kWindowSize + kSuperslabSize;
  const os::MapResult probe = os::Map(nullptr, probe_size, false, false);
  if (probe.ptr == nullptr) return kNoWindow;
  os::Unmap(probe.ptr, probe_size);
  const uintptr_t base = RoundUp(reinterpret_cast<uintptr_t>(probe.ptr), kSuperslabSize);
  if (os::Map(reinterpret_cast<void*>(base), kAddressMapSize, true, false).ptr == nullptr) return kNoWindow;
  return base;
}

// A fresh chunk for metadata of at least `size` bytes.
char* MapMetadataChunk(size_t size) {
  // Acquire is not needed for the counter itself; a failing place is simply skipped.
  while (metadata_frontier.load(std::memory_order_relaxed) != 0) {                      // a lone number
    const uintptr_t at = metadata_frontier.fetch_add(size, std::memory_order_relaxed);  // each value handed out once
    if (at + size > g_window_base + kFrontSize) break;
    const os::MapResult r = os::Map(reinterpret_cast<void*>(at), size, true);
    if (r.ptr != nullptr) return static_cast<char*>(r.ptr);
    if (r.error != EEXIST) return nullptr;
  }
  return static_cast<char*>(os::Map(nullptr, size, false).ptr);
}

// Maps what is missing of [p, p + size), which lies in the window, where nobody else maps anything. False without
// memory for all of it.
bool MapMissing(char* p, size_t size) {
  if (os::CheckMapped(p, size) == 0) return true;
  const os::MapResult r = os::Map(p, size, true);
  if (r.ptr != nullptr) {
    ApplyHugePagePolicy(p, size);
    return true;
  }
  if (r.error != EEXIST) return false;
  const size_t page = os::PageSize();
  if (size <= page) return true;  // this page stands
  const size_t step = size > kSuperslabSize ? kSuperslabSize : page;
  for (size_t at = 0; at < size; at += step) {
    if (!MapMissing(p + at, size - at < step ? size - at : step)) return false;
  }
  return true;
}

// How much of the beginning of [p, p + size) has moved by an mremap that failed: from Linux 6.17 on a call may take
// several areas, one after the other, and stops at the first that fails.
size_t MovedNonetheless(const char* p, size_t size) {
  if (os::CheckMapped(p, size) != ENOMEM) return 0;
  const size_t page = os::PageSize();
  size_t at = 0;
  while (at < size && os::CheckMapped(p + at, page) == ENOMEM) at += page;
  return at;
}

// Copies what differs: pages that neither has written stay empty.
void CopyPages(char* to, const char* from, size_t size) {
  const size_t page = os::PageSize();
  for (size_t at = 0; at < size; at += page) {
    if (memcmp(to + at, from + at, page) != 0) memcpy(to + at, from + at, page);
  }
}

void WaitForOthers() {
  std::atomic<uint32_t> word{0};
  os::FutexWaitMs(&word, 0, 1);
}

// Moves what is left of a block of which a part has moved, by copying it. It does not fail: this is the only way left.
// Moving back would take as many areas as what has just failed.
void CopyRest(char* source, size_t old_size, char* target, size_t new_size) {
  Unpoison(source, old_size);
  Unpoison(target, new_size);
  bool all_mapped = false;
  for (size_t at = 0; !all_mapped || at < old_size;) {
    if (!all_mapped) {
      all_mapped = MapMissing(target + at, new_size - at);
      if (!all_mapped) {
        // Other threads have taken the areas that the failed move had given up. What stands of the target, which holds
        // nothing yet, is an area at least, and all of it takes no more.
        os::Unmap(target + at, new_size - at);
        all_mapped = MapMissing(target + at, new_size - at);
      }
      // What a huge block moves to has huge pages.
      if (all_mapped && g_options.huge_pages == 1) os::AdviseHuge(target + at, new_size - at, true);
    }
    const size_t size = old_size - at < kSuperslabSize ? old_size - at : kSuperslabSize;
    // Where it is memory that is short, each piece that was copied makes room for the next.
    if (!all_mapped && (size == 0 || !MapMissing(target + at, size))) {
      // Others have taken what was there for it, and may give it back.
      WaitForOthers();
      continue;
    }
    CopyPages(target + at, source + at, size);
    // From the front, so that no area is split.
    if (os::Unmap(source + at, size) != 0) os::Purge(source + at, size);
    at += size;
  }
}

// Moves superslab by superslab: before Linux 6.17 mremap takes one kernel area at a time, and of a block that grows it
// does so ever since. Pieces that were touched while their pages were of different kinds stay different areas for ever.
// The last piece grows to what is left. False when nothing could be moved.
bool MovePieces(void* from, size_t old_size, void* to, size_t new_size) {
  char* const source = static_cast<char*>(from);
  char* const target = static_cast<char*>(to);
  // Of a block that does not grow the call for all of it may have moved a part.
  size_t moved = old_size == new_size ? MovedNonetheless(source, old_size) : 0;
  if (moved == 0) {
    // A move that fails may have unmapped its target. All of it stands again before anything moves: no more than a
    // piece of it is missing then, whatever fails.
    if (!MapMissing(target, new_size)) return false;
    bool going_on = true;
    while (going_on && moved < old_size) {
      const bool last = moved + kSuperslabSize >= old_size;
      const size_t size = last ? old_size - moved : kSuperslabSize;
      going_on = os::RemapTo(source + moved, size, last ? new_size - moved : size, target + moved).ptr != nullptr;
      moved += going_on ? size : MovedNonetheless(source + moved, size);
    }
    if (going_on) return true;
    if (moved == 0) return false;
  }
  HAK_LOG(kWarning, "a block that moves is copied from byte ", uint64_t{moved}, " on: the system refuses to move it");
  CopyRest(source + moved, old_size - moved, target + moved, new_size - moved);
  return true;
}

// Of a limit below this the window's map, which counts as a whole, would leave too little to the program.
constexpr uint64_t kLeastLimit = 8 * kAddressMapSize;

}  // namespace

void OpenWindow(bool allowed) {
  const bool has_room = os::MemoryLimit() >= kLeastLimit;
  const uintptr_t base = allowed && has_room ? FindWindowBase() : kNoWindow;
  if (base == kNoWindow) {
    HAK_LOG(kWarning, "no window: free takes a slower path");
    if (!has_room) return;
    // Never written to: its pages, where they are read, are the kernel's page of zeroes.
    if (void* empty = os::Map(nullptr, kAddressMapSize, false, false).ptr; empty != nullptr) {
      g_map_base = reinterpret_cast<uintptr_t>(empty);
    }
    return;
  }
  HAK_LOG(kInfo, "window at ", Hex{base});
  metadata_frontier.store(base + kAddressMapSize, std::memory_order_relaxed);  // no second thread yet
  g_window_base = base;
  g_map_base = base;
}

Outcome Commit(void* address, size_t size) {
  AssertNoLockHeld();
  if (!Book(size)) {
    HAK_LOG(kWarning, "HAKMEM_MEMORY_LIMIT refuses ", uint64_t{size}, " bytes");
    return Outcome::kNoMemory;
  }
  const os::MapResult r = os::Map(address, size, true);
  if (r.ptr != nullptr) {
    Mapped(size);
    ApplyHugePagePolicy(address, size);
    ring::Note(ring::Event::kMap, address, size);
    return Outcome::kDone;
  }
  NotMapped(size);
  return r.error == EEXIST ? Outcome::kTaken : Outcome::kNoMemory;
}

namespace {

bool TouchesWindow(const void* p, size_t size) {
  const uintptr_t start = reinterpret_cast<uintptr_t>(p);
  return HasWindow() && start < g_window_base + kWindowSize && start + size > g_window_base;
}

// Where the next mapping that has to avoid the window is tried; 0 before the first.
constinit std::atomic<uintptr_t> below_window{0};

// Maps `size` bytes wherever the kernel likes, but for the window: where that is a hole between other mappings, the
// kernel may well choose a free part of it. Then places below the window are tried, one after the other.
os::MapResult MapAwayFromWindow(size_t size) {
  os::MapResult r = os::Map(nullptr, size, false);
  for (int attempt = 0; attempt < 8 && r.ptr != nullptr && TouchesWindow(r.ptr, size); ++attempt) {
    os::Unmap(r.ptr, size);
    // Relaxed: a place to try; two threads that try the same one are told apart by the kernel.
    uintptr_t end = below_window.load(std::memory_order_relaxed);
    if (end < g_window_base / 2 || end < size) end = g_window_base;
    const uintptr_t hint = (end - size) & ~(uintptr_t{kSuperslabSize} - 1);
    below_window.store(hint, std::memory_order_relaxed);  // as above
    r = os::Map(reinterpret_cast<void*>(hint), size, false);
  }
  if (r.ptr == nullptr || !TouchesWindow(r.ptr, size)) return r;
  os::Unmap(r.ptr, size);
  return {nullptr, ENOMEM};
}

}  // namespace

void* MapOutside(size_t size, size_t alignment) {
  AssertNoLockHeld();
  size_t padded;
  if (__builtin_add_overflow(size, alignment, &padded) || !Book(size)) return nullptr;
  const os::MapResult r = MapAwayFromWindow(padded);
  if (r.ptr == nullptr) {
    NotMapped(size);
    return nullptr;
  }
  Mapped(size);
  const uintptr_t start = reinterpret_cast<uintptr_t>(r.ptr);
  const uintptr_t aligned = RoundUp(start, alignment);
  if (aligned != start) os::Unmap(r.ptr, aligned - start);
  const size_t tail = start + padded - (aligned + size);
  if (tail != 0) os::Unmap(reinterpret_cast<void*>(aligned + size), tail);
  ApplyHugePagePolicy(reinterpret_cast<void*>(aligned), size);
  ring::Note(ring::Event::kMap, reinterpret_cast<void*>(aligned), size);
  return reinterpret_cast<void*>(aligned);
}

bool Unmap(void* address, size_t size) {
  AssertNoLockHeld();
  ring::Note(ring::Event::kUnmap, address, size);
  // A kernel out of areas (vm.max_map_count) may refuse to split one: the memory at least goes back.
  if (os::Unmap(address, size) != 0) {
    os::Purge(address, size);
    return false;
  }
  Unbook(size);
  Unpoison(address, size);  // for whoever maps it next
  return true;
}

bool Purge(void* address, size_t size) {
  AssertNoLockHeld();
  if (os::Purge(address, size) != 0) {
    purges_refused.fetch_add(1, std::memory_order_relaxed);  // an amount
    return false;
  }
  ring::Note(ring::Event::kPurge, address, size);
  purged_bytes.fetch_add(size, std::memory_order_relaxed);  // an amount
  return true;
}

uint64_t PurgesRefused() { return purges_refused.load(std::memory_order_relaxed); }  // an amount

void AdviseHuge(void* address, size_t size, bool huge) {
  AssertNoLockHeld();
  os::AdviseHuge(address, size, huge);
}

bool MoveOnto(void* from, size_t old_size, void* to, size_t new_size) {
  AssertNoLockHeld();
  if (os::RemapTo(from, old_size, new_size, to).ptr == nullptr && !MovePieces(from, old_size, to, new_size))
    return false;
  Unbook(old_size);
  Unpoison(from, old_size);  // for whoever maps it next
  return true;
}

void* AllocateMetadata(size_t size, size_t alignment) {
  for (;;) {
    {
      LockHolder hold(metadata_lock);
      const uintptr_t at = RoundUp(reinterpret_cast<uintptr_t>(metadata_at), alignment);
      if (metadata_at != nullptr && at + size + kMetadataGap <= reinterpret_cast<uintptr_t>(metadata_end)) {
        metadata_at = reinterpret_cast<char*>(at + size + kMetadataGap);
        Unpoison(reinterpret_cast<void*>(at), size);
        return reinterpret_cast<void*>(at);
      }
    }
    const size_t needed = size + alignment + kMetadataGap;
    const size_t chunk_size = (needed + kMetadataChunk - 1) / kMetadataChunk * kMetadataChunk;
    char* chunk = MapMetadataChunk(chunk_size);
    if (chunk == nullptr) return nullptr;
    Poison(chunk, chunk_size);
    metadata_bytes.fetch_add(chunk_size, std::memory_order_relaxed);  // an amount
    LockHolder hold(metadata_lock);
    if (chunk == metadata_end) {
      metadata_end += chunk_size;
    } else {
      // What is left of the old chunk stays unused; it was never touched, so it costs address space only.
      metadata_at = chunk;
      metadata_end = chunk + chunk_size;
    }
  }
}

Account GetAccount() {
  return {mapped.load(std::memory_order_relaxed), mapped_peak.load(std::memory_order_relaxed),            // amounts
          metadata_bytes.load(std::memory_order_relaxed), purged_bytes.load(std::memory_order_relaxed)};  // amounts
}

Lock& MetadataLock() { return metadata_lock; }

}  // namespace gate
}  // namespace hakmem
