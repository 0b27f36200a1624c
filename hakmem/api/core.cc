#include "hakmem/api/core.h"

#include <errno.h>

#include <cstdint>
#include <cstring>

#include "hakmem/api/background.h"
#include "hakmem/api/block_events.h"
#include "hakmem/api/startup.h"
#include "hakmem/diag/check.h"
#include "hakmem/guard/guard.h"
#include "hakmem/large/huge.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/at_work.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/round_up.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/tiny/outbox.h"
#include "hakmem/trace/trace.h"

namespace hakmem::core {
namespace {

constexpr size_t kMaxSize = PTRDIFF_MAX;

void* NoMemory() {
  errno = ENOMEM;
  return nullptr;
}

bool IsPowerOfTwo(size_t n) { return n != 0 && (n & (n - 1)) == 0; }

// A block for `asked` bytes; with `zero` it reads as zero. `tried` tells that tiny::TryAllocate has just failed.
void* Allocate(size_t asked, bool zero, bool tried = false) {
  if (HAK_UNLIKELY(asked > kMaxSize)) return NoMemory();
  startup::Ensure();
  const size_t size = guard::Padded(asked);
  if (HAK_UNLIKELY(size > kMaxClassed)) {
    background::StartIfWanted();
    void* p = huge::Allocate(size, kSuperslabSize, zero);
    if (HAK_UNLIKELY(p == nullptr)) return NoMemory();
    if constexpr (kGuardBuild) guard::Dress(p, asked);
    return p;
  }
  // Not for a process so small that it leaves nothing to give back, nor while the loader still sets it up.
  if (HAK_UNLIKELY(g_options.background != 0) && pool::Superslabs() > 1) background::StartIfWanted();
  bool clean;
  const unsigned list = ListOfSize(size == 0 ? 1 : size);
  void* p = tried ? tiny::AllocateFromSlabs(list, &clean) : tiny::Allocate(list, &clean);
  if (HAK_UNLIKELY(p == nullptr)) return NoMemory();
  if constexpr (kTrackBlocks) tiny::MarkLive(p);
  if (zero) {
    // A clean block holds nothing but the link of its list.
    memset(p, 0, clean ? sizeof(Block) : size);
  }
  if constexpr (kGuardBuild) guard::Dress(p, asked);
  return p;
}

// The region of a block that is with the program, nullptr after a report when `p` is none.
Region* LiveRegion(const char* where, const void* p) {
  Region* region = address_map::RegionOf(p);
  // Relaxed: RegionOf orders.
  const Region::Kind kind = region == nullptr ? Region::Kind::kNone : region->kind.load(std::memory_order_relaxed);
  switch (kind) {
    case Region::Kind::kHuge:
      if (region->base() == p) return region;
      ReportFault(Fault::kInteriorPointer, where, p, "inside a huge block");
      return nullptr;
    case Region::Kind::kSuperslab: {
      const Slab& slab = static_cast<Superslab*>(region)->SlabAt(p);
      if (slab.PeekRemote().owner == kRetired) {
        ReportFault(Fault::kDoubleFree, where, p, "its slab is not in use any more");
        return nullptr;
      }
      if (slab.IsBlockStart(p)) {
        if constexpr (kTrackBlocks) {
          if (!tiny::CheckLive(where, slab, p)) return nullptr;
        } else if (HAK_UNLIKELY(slab.LookFromOutside().free == p || tiny::WasFreedLast(slab, p))) {
          // Whatever moment the look is of: the block is with the program, so that it never stands there.
          ReportFault(Fault::kDoubleFree, where, p, "it was freed last");
          return nullptr;
        }
        return region;
      }
      ReportFault(Fault::kInteriorPointer, where, p, "");
      return nullptr;
    }
    case Region::Kind::kNone:
      if (region == nullptr || region->base() != p) break;
      ReportFault(Fault::kDoubleFree, where, p, "a huge block");
      return nullptr;
  }
  ReportFault(Fault::kForeignPointer, where, p, "");
  return nullptr;
}

size_t SizeIn(const Region* region, const void* p) {
  if constexpr (kGuardBuild) return guard::AskedSize(*region, p);
  if (region->kind.load(std::memory_order_relaxed) == Region::Kind::kHuge) return huge::UsableSize(region);  // ours
  return static_cast<Superslab*>(const_cast<Region*>(region))->SlabAt(p).block_size();
}

HAK_NOINLINE void FreeElsewhere(void* p) {
  Region* region = address_map::RegionOf(p);
  // Relaxed: RegionOf orders.
  if (region != nullptr && region->kind.load(std::memory_order_relaxed) == Region::Kind::kSuperslab) {
    Slab& slab = static_cast<Superslab*>(region)->SlabAt(p);
    if (HAK_LIKELY(slab.PeekRemote().owner != kRetired)) {
      tiny::Free(p, slab);
      return;
    }
  }
  region = LiveRegion("free", p);
  if (region == nullptr) return;
  background::StartIfWanted();
  huge::Free(p, region);
}

void FreeNow(void* p) {
  if (HAK_UNLIKELY(!tiny::AddAgainToOutbox(p))) FreeElsewhere(p);
}

void FreeOrDelay(void* p) {
  if constexpr (kGuardBuild) {
    guard::Delay(p, FreeNow);
  } else {
    FreeNow(p);
  }
}

// A block with room, so that it need not be copied each time, for one that grows from `copy` bytes to a size from here
// to kMaxClassed. nullptr when there is none. (Nor in guard builds, which want a guard behind each block.)
constexpr size_t kLeastWithRoom = kSlabSize;
void* AllocateGrown(size_t size, size_t copy) {
  if (kGuardBuild || size <= copy || size < kLeastWithRoom || size > kMaxClassed) return nullptr;
  return huge::AllocateWithRoom(size);
}

// Moves a block to a new one of `size` bytes, of which `copy` are kept.
void* Move(void* p, size_t size, size_t copy) {
  void* to = AllocateGrown(size, copy);
  if (to == nullptr) to = Malloc(size);
  if (to == nullptr) return nullptr;
  memcpy(to, p, copy);
  Free(p);
  return to;
}

// The same while somebody wants to see the program's calls. To the debug ring it is a malloc and a free by `caller`, to
// the recorder a part of the realloc.
HAK_COLD void* MoveWatched(void* p, size_t size, size_t copy, const void* caller) {
  void* to = AllocateGrown(size, copy);
  if (to == nullptr) to = Allocate(size, false);
  if (ring::On()) block_events::WriteAllocated(to, size, caller);
  if (to == nullptr) return nullptr;
  memcpy(to, p, copy);
  if (kTrackBlocks && !tiny::MarkFreed("realloc", p)) return to;
  if (ring::On() && !block_events::WriteFreed(p, caller)) return to;
  FreeOrDelay(p);
  return to;
}

}  // namespace

namespace {

// Whether a block may be taken from what the heap has at hand. The ring leaves the slabs of classes without lists to be
// taken from here, so nothing is while somebody wants to see every call.
HAK_ALWAYS_INLINE bool IsAtHand(size_t size) {
  return !kTrackBlocks && !kGuardBuild && size - 1 < kMaxClassed && !block_events::Wanted();
}

HAK_ALWAYS_INLINE void* TakeAtHand(size_t size) {
  if constexpr (!kTrackBlocks && !kGuardBuild) {
    if (void* p = tiny::TryAllocateFreed(size); HAK_LIKELY(p != nullptr)) return p;
  }
  return HAK_LIKELY(IsAtHand(size)) ? tiny::TryAllocate(ListOfSize(size)) : nullptr;
}

HAK_NOINLINE void* AllocateFor(size_t size, const void* caller) {
  void* p = Allocate(size, false, IsAtHand(size));
  block_events::Allocated({trace::Op::kMalloc, size}, p, caller);
  return p;
}

}  // namespace

void* MallocSlowFor(size_t size, const void* caller) {
  if (void* p = TakeAtHand(size); HAK_LIKELY(p != nullptr)) return p;
  return AllocateFor(size, caller);
}
HAK_NOINLINE void* MallocSlow(size_t size) {
  if (void* p = TakeAtHand(size); HAK_LIKELY(p != nullptr)) return p;
  return AllocateFor(size, HAK_CALLER());
}

// Out of line, so that the hit path saves no register for it.
HAK_NOINLINE void* CallocSlow(size_t total) {
  void* p = Allocate(total, true);
  block_events::Allocated({trace::Op::kCalloc, total}, p, HAK_CALLER());
  return p;
}

void* Calloc(size_t count, size_t size) {
  size_t total;
  if (HAK_UNLIKELY(__builtin_mul_overflow(count, size, &total))) return NoMemory();
  if (void* p = tiny::TryMalloc(total); HAK_LIKELY(p != nullptr)) {
    if constexpr (kTrackBlocks) tiny::MarkLive(p);
    memset(p, 0, total);
    return p;
  }
  return CallocSlow(total);
}

namespace {

// A block that stays where it is, or whose pages were moved.
void* Resized(void* p, size_t size) {
  if constexpr (kGuardBuild) guard::Dress(p, size);
  return p;
}

// Without memory for a shorter one a block that was to shrink stays as it is: from then on a block may be much longer
// than the size it is freed with. A lone flag; the thread that frees the block has it from the one that shrank it.
constinit std::atomic<bool> shrink_stayed{false};

// `caller` is what the debug ring notes, nullptr while nobody wants to see the program's calls. `*copied` tells whether
// the block was copied to a new one, which the ring has noted then.
void* Resize(void* p, size_t size, const void* caller, bool* copied) {
  *copied = false;
  Region* region = LiveRegion("realloc", p);
  if (HAK_UNLIKELY(region == nullptr)) return NoMemory();
  const size_t have = SizeIn(region, p);
  if constexpr (kGuardBuild) {
    if (!guard::CheckGuard("realloc", *region, p)) return NoMemory();
  }
  if (region->kind.load(std::memory_order_relaxed) == Region::Kind::kHuge) {  // the caller's own block
    if (size > kMaxClassed || (huge::HasRoom(region) && size >= kLeastWithRoom / 2 && size >= have / 2)) {
      if (void* moved = huge::Resize(p, region, guard::Padded(size)); moved != nullptr) return Resized(moved, size);
      // Freed meanwhile, which was reported.
      if (!huge::IsHeld(region, p)) return NoMemory();
      if (size <= have) return Resized(p, size);
    }
  } else if (size <= have && size >= have / 2) {
    return Resized(p, size);
  }
  const int saved = errno;
  const size_t copy = size < have ? size : have;
  *copied = true;
  void* moved = caller == nullptr ? Move(p, size, copy) : MoveWatched(p, size, copy, caller);
  if (HAK_UNLIKELY(moved == nullptr) && size <= have) {
    // Programs do not expect a block that shrinks to fail.
    shrink_stayed.store(true, std::memory_order_relaxed);  // see there
    errno = saved;
    return Resized(p, size);
  }
  return moved;
}

HAK_NOINLINE void* ReallocWatched(void* p, size_t size, const void* caller) {
  const uint64_t began = trace::Tick();
  const Slab* slab = address_map::SlabOf(p);
  if (ring::On() && slab != nullptr && slab->IsBlockStart(p) && !tiny::CheckLive("realloc", *slab, p))
    return NoMemory();
  bool copied;
  void* to = Resize(p, size, caller, &copied);
  // What was copied was noted as a malloc and a free.
  if (ring::On() && to != nullptr && (to == p || !copied)) block_events::WriteResized(p, to, size, caller);
  if (trace::On()) trace::Reallocated(p, to, size, began);
  return to;
}

}  // namespace

HAK_NOINLINE void* ReallocSlow(void* p, size_t size) {
  if (block_events::Wanted()) return ReallocWatched(p, size, HAK_CALLER());
  bool copied;
  return Resize(p, size, nullptr, &copied);
}

namespace {

// Makes a block of the calling thread's own, of `own` bytes, one of `size` bytes by moving it: most of the resizing
// that is left, with one look at the slab. What cannot be done like this goes the slow way, which says what is wrong.
[[maybe_unused]] HAK_NOINLINE void* MoveOwn(void* p, size_t own, size_t size) {
  const Slab* slab = address_map::SlabOf(p);
  if (HAK_LIKELY(slab != nullptr && slab->IsBlockStart(p) && !tiny::WasFreedLast(*slab, p))) {
    const int saved = errno;
    if (void* to = Move(p, size, size < own ? size : own); HAK_LIKELY(to != nullptr)) return to;
    errno = saved;  // a block that shrinks may stay where it is
  }
  return ReallocSlow(p, size);
}

}  // namespace

void* Realloc(void* p, size_t size) {
  if (p == nullptr) return Malloc(size);
  if (size == 0) {
    Free(p);
    return nullptr;
  }
  if (HAK_UNLIKELY(size > kMaxSize)) return NoMemory();
  if constexpr (!kTrackBlocks) {
    // Not taken while somebody wants to see every call: the heaps have no tags then.
    const size_t own = tiny::OwnBlockSize(p);
    if (HAK_LIKELY(size <= own && size >= own / 2)) return p;
    if (own != 0) return MoveOwn(p, own, size);
  }
  return ReallocSlow(p, size);
}

size_t Product(size_t count, size_t size) {
  size_t total;
  return __builtin_mul_overflow(count, size, &total) ? SIZE_MAX : total;
}

namespace {

// `tried` tells that TakeAtHand has just failed for the size rounded up to the alignment.
void* NewAligned(size_t alignment, size_t size, bool tried) {
  if (size > kMaxSize || alignment > kMaxSize - size) return NoMemory();
  startup::Ensure();
  // Slabs start at multiples of 64 KiB, and the block size of the class of a multiple of the alignment is one as well.
  const size_t padded = guard::Padded(size);
  const size_t rounded = padded == 0 ? alignment : RoundUp(padded, alignment);
  if (alignment <= kSlabSize && rounded <= kMaxClassed) {
    const unsigned list = ListOfSize(rounded);
    bool clean;
    void* p = tried ? tiny::AllocateFromSlabs(list, &clean) : tiny::Allocate(list, &clean);
    if (p == nullptr) return NoMemory();
    if constexpr (kTrackBlocks) tiny::MarkLive(p);
    if constexpr (kGuardBuild) guard::Dress(p, size);
    return p;
  }
  void* p = huge::Allocate(padded == 0 ? 1 : padded, alignment, false);
  if (p == nullptr) return NoMemory();
  if constexpr (kGuardBuild) guard::Dress(p, size);
  return p;
}

HAK_ALWAYS_INLINE void* TakeAlignedAtHand(size_t alignment, size_t size) {
  // The rounded size is 0 for sizes next to SIZE_MAX, and for none.
  return HAK_LIKELY(alignment <= kSlabSize) ? TakeAtHand(RoundUp(size, alignment)) : nullptr;
}

// When TakeAlignedAtHand has just failed.
HAK_NOINLINE void* AllocateAlignedFrom(trace::Op form, size_t alignment, size_t size, const void* caller) {
  if (alignment <= kMinBlock && !block_events::Wanted()) return Malloc(size);
  void* p = NewAligned(alignment, size, alignment <= kSlabSize && IsAtHand(RoundUp(size, alignment)));
  block_events::Allocated({form, size, alignment}, p, caller);
  return p;
}

}  // namespace

HAK_NOINLINE void* AllocateAlignedSlow(trace::Op form, size_t alignment, size_t size, const void* caller) {
  if (void* p = TakeAlignedAtHand(alignment, size); HAK_LIKELY(p != nullptr)) return p;
  return AllocateAlignedFrom(form, alignment, size, caller);
}

void* AllocateAligned(size_t alignment, size_t size) {
  return AllocateAlignedFor(trace::Op::kAlignedAlloc, alignment, size, HAK_CALLER());
}

namespace {

// Out of line, so that the hit path saves no register for it.
HAK_NOINLINE void* AlignedAllocSlow(size_t alignment, size_t size) {
  if (HAK_UNLIKELY(!IsPowerOfTwo(alignment))) {
    errno = EINVAL;
    return nullptr;
  }
  return AllocateAlignedSlow(trace::Op::kAlignedAlloc, alignment, size, HAK_CALLER());
}

}  // namespace

void* AlignedAlloc(size_t alignment, size_t size) {
  if (HAK_LIKELY(IsPowerOfTwo(alignment))) {
    if (void* p = TakeAligned(alignment, size); HAK_LIKELY(p != nullptr)) return p;
  }
  return AlignedAllocSlow(alignment, size);
}

void* Memalign(size_t alignment, size_t size) {
  if (alignment > (SIZE_MAX >> 1) + 1) {
    errno = EINVAL;
    return nullptr;
  }
  size_t power = kMinBlock;
  while (power < alignment) power <<= 1;
  return AllocateAlignedFor(trace::Op::kMemalign, power, size, HAK_CALLER());
}

int PosixMemalign(void** out, size_t alignment, size_t size) {
  if (!IsPowerOfTwo(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  if (void* p = TakeAligned(alignment, size); HAK_LIKELY(p != nullptr)) {
    *out = p;
    return 0;
  }
  const int saved = errno;
  void* p = AllocateAlignedSlow(trace::Op::kPosixMemalign, alignment, size, HAK_CALLER());
  errno = saved;
  if (p == nullptr) return ENOMEM;
  *out = p;
  return 0;
}

void* Valloc(size_t size) { return AllocateAlignedFor(trace::Op::kMemalign, os::PageSize(), size, HAK_CALLER()); }

size_t WholePages(size_t size) {
  const size_t page = os::PageSize();
  if (size > kMaxSize - page) return SIZE_MAX;
  const size_t rounded = RoundUp(size, page);
  return rounded == 0 ? page : rounded;
}

void* Pvalloc(size_t size) { return Valloc(WholePages(size)); }

namespace {

HAK_COLD void FreeWatched(void* p, const void* caller) {
  if (block_events::Freed({trace::Op::kFree}, p, caller) && p != nullptr) FreeOrDelay(p);
}

}  // namespace

HAK_NOINLINE void FreeSlow(void* p) {
  if (block_events::Wanted()) return FreeWatched(p, HAK_CALLER());
  if (HAK_LIKELY(p != nullptr)) FreeOrDelay(p);
}

namespace {

// Frees `p`, for which `call` says what was asked for, which is `rounded` bytes with the alignment.
void FreeChecked(const char* where, void* p, const trace::Call& call, size_t rounded, const void* caller) {
  const size_t size = call.size;
  const Region* region = LiveRegion(where, p);
  if (region == nullptr) return;
  // The block is of the class of that size, or up to twice as large: where an alignment or realloc gave it.
  const size_t have = SizeIn(region, p);
  const bool fits = kGuardBuild ? size == have
                                : size <= have && (rounded >= have / 2 || have <= kMinBlock ||
                                                   shrink_stayed.load(std::memory_order_relaxed));  // see there
  if (HAK_UNLIKELY(!fits)) {
    char detail[80];
    Format f(detail, sizeof(detail));
    f << "given " << size << " bytes, " << (kGuardBuild ? "asked for were " : "the block has ") << have;
    ReportFault(Fault::kWrongSize, where, p, detail);
    return;
  }
  if (!block_events::Wanted()) {
    Free(p);
  } else if ((!kTrackBlocks || tiny::MarkFreed(where, p)) && block_events::Freed(call, p, caller)) {
    FreeOrDelay(p);
  }
}

// Gives idle memory back until about `keep` bytes of it are left, everything with 0. Bytes given back.
size_t GiveBackIdleBeyond(size_t keep) {
  if (keep == 0) return pool::GiveBackIdle(SIZE_MAX);
  size_t given_back = 0;
  // Again when too much is left: what huge pages have brought unasked goes with the rest, but was not counted as idle.
  // Not for ever: other threads may free as much meanwhile.
  for (int round = 0; round < 4; ++round) {
    const size_t idle = g_idle.idle();
    const size_t bytes = idle > keep ? pool::GiveBackIdle(idle - keep) : 0;
    if (bytes == 0) break;
    given_back += bytes;
  }
  return given_back;
}

}  // namespace

void FreeSized(void* p, size_t size) {
  if (p == nullptr) return FreeSlow(p);
  if constexpr (!kTrackBlocks && !kGuardBuild) {
    if (HAK_LIKELY(size > kMaxStepped && size <= kMaxListed && tiny::TryFreeWide(p, size))) return;
  }
  FreeChecked("free_sized", p, {trace::Op::kFreeSized, size}, size, HAK_CALLER());
}

void FreeAlignedSized(void* p, size_t alignment, size_t size) {
  if (p == nullptr) return FreeSlow(p);
  if (!IsPowerOfTwo(alignment) || (reinterpret_cast<uintptr_t>(p) & (alignment - 1)) != 0) {
    ReportFault(Fault::kWrongSize, "free_aligned_sized", p, "the block is not aligned as given");
    return;
  }
  const size_t rounded = RoundUp(size, alignment);
  FreeChecked("free_aligned_sized", p, {trace::Op::kFreeAlignedSized, size, alignment},
              rounded < alignment ? alignment : rounded, HAK_CALLER());
}

size_t UsableSize(const void* p) {
  if (p == nullptr) return 0;
  const Region* region = address_map::RegionOf(p);
  if (region == nullptr) return 0;
  switch (region->kind.load(std::memory_order_relaxed)) {  // RegionOf orders
    case Region::Kind::kHuge:
      if constexpr (kGuardBuild) return region->base() == p ? guard::AskedSize(*region, p) : 0;
      return region->base() == p ? huge::UsableSize(region) : 0;
    case Region::Kind::kSuperslab: return SizeIn(region, p);
    case Region::Kind::kNone: break;
  }
  return 0;
}

bool Owns(const void* p) {
  const Region* region = address_map::RegionOf(p);
  return region != nullptr && region->kind.load(std::memory_order_relaxed) != Region::Kind::kNone;  // RegionOf orders
}

bool Trim(size_t keep) {
  startup::Ensure();
  const AtWork at_work;
  if (trace::On()) trace::Trimmed(keep);
  if constexpr (kGuardBuild) guard::Flush(FreeNow);
  const size_t pages = tiny::Trim(true);
  const size_t given_back = GiveBackIdleBeyond(keep);
  // Addresses as well, which count where they are limited, or where the system keeps memory ready for all of them.
  if (keep == 0) arena::UnmapIdle();
  return pages + given_back != 0;
}

}  // namespace hakmem::core
