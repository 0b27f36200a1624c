#include "hakmem/shared_pool/shared_pool.h"

#include <atomic>
#include <initializer_list>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/diag/log.h"
#include "hakmem/diag/ring.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/poison.h"
#include "hakmem/shared_pool/empty_list.h"
#include "hakmem/shared_pool/registry.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::pool {
namespace {

// The LRU holds at most this much idle memory; what is beyond goes to the page arena, where larger blocks find it, too.
constexpr size_t kLruBytes = size_t{8} << 20;
// A process with this many superslabs gets huge pages for slabs that will be used from end to end: the one huge page of
// which a part is not in use yet is little beside the rest.
constexpr uint64_t kHugeFrom = 2;
// With so many superslabs for each heap that has made one, the slots of those for full slabs go to the heap that made
// them. What the blocks of one thread fill comes free as a whole when it frees them: a huge page that is shared has to
// be split, or waits, when one of its users is done. One superslab of each heap is not all used yet, a sixteenth in
// all.
constexpr uint64_t kApartFrom = 16;
// An early purge leaves superslabs with fewer idle slots alone: it would make a system call for little that is perhaps
// wanted again soon.
constexpr int kWorthPurging = 8;
// What is left of a huge page that is split is slower to reach, and often comes free soon after. So that of a superslab
// in use takes so many idle slots, as long as no more lies idle than half of what is in use, less a few megabytes.
constexpr int kWorthSplitting = 24;
constexpr size_t kSplitInAnyCase = size_t{4} << 20;
// A superslab of which so many slots were given back goes as a whole when it is idle.
constexpr int kTorn = 8;
// What was given back of a huge page comes back in small ones, a page fault for each. So another superslab is taken
// instead, while there are no more than these and two for each that the slots in use would fill: their metadata, and
// looking through them, is not worth more.
constexpr uint64_t kSetAside = 128;
// Memory that the system would not take is offered again after so many milliseconds.
constexpr uint64_t kOfferedAgainMs = 1000;
// How many superslabs stage 2 looks at before it asks for another one.
constexpr int kMaxLooked = 256;

constinit Lock lock{LockRank::kSharedPool};
constinit Registry registry;
constinit EmptyList empty_lists[kClasses];
constinit std::atomic<uint32_t> empty_slots{0};

// Idle superslabs, most recent first, and metadata without a superslab.
constinit Superslab* lru_first HAK_GUARDED_BY(lock) = nullptr;
constinit Superslab* lru_last HAK_GUARDED_BY(lock) = nullptr;
constinit size_t lru_count HAK_GUARDED_BY(lock) = 0;
constinit Superslab* spare HAK_GUARDED_BY(lock) = nullptr;

// Balance, one thread at a time: a second one would only take the lock in turns with the first.
constinit std::atomic<bool> balancing{false};

constinit std::atomic<uint64_t> superslabs_now{0};
// What the superslabs' active bits add up to: each release asks how much is in use, and cannot look at all of them.
constinit std::atomic<uint64_t> slots_in_use{0};
constinit std::atomic<uint64_t> superslabs_mapped{0};
constinit std::atomic<HeapId> last_maker{kNoHeap};  // the highest id of a heap that has made a superslab
enum Stage { kStage0, kStage05, kStage1, kStage2, kStage3Lru, kStage3New };
constinit std::atomic<uint64_t> acquired_at[6] = {};

void Count(Stage stage) {
  acquired_at[stage].fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
}

uint32_t BitsOf(unsigned first, unsigned span) { return static_cast<uint32_t>(((uint64_t{1} << span) - 1) << first); }
uint32_t BitsOf(const Slab& slab) { return BitsOf(slab.index(), static_cast<unsigned>(slab.span())); }
size_t BytesOf(uint32_t bits) { return static_cast<size_t>(__builtin_popcount(bits)) * kSlabSize; }

// The caller has just taken these slots: they are in use from here on. Whether their memory reads as zero.
bool StartUse(Superslab& superslab, uint32_t bits) {
  superslab.active.fetch_or(bits, std::memory_order_relaxed);  // a hint: an idle superslab is made by the unused mask
  slots_in_use.fetch_add(BytesOf(bits) / kSlabSize, std::memory_order_relaxed);  // an amount, orders nothing
  // Relaxed: the bits of slots that we hold are ours; their last change came to us with the slots.
  const uint32_t dirty = superslab.dirty.load(std::memory_order_relaxed) & bits;
  if (dirty != 0) g_idle.RemoveIdle(BytesOf(dirty));
  if (const uint32_t purged = superslab.purged.load(std::memory_order_relaxed) & bits; purged != 0) {  // as above
    superslab.purged.fetch_and(~purged, std::memory_order_relaxed);                                    // as above
    g_idle.AddRefault(BytesOf(purged));
    g_idle.RemoveSetAside(BytesOf(purged));
  }
  return dirty == 0;
}

// The caller gives these slots up, and they may hold bytes now.
void EndUse(Superslab& superslab, uint32_t bits) {
  superslab.dirty.fetch_or(bits, std::memory_order_relaxed);     // ours until the slots are given up, which releases
  superslab.active.fetch_and(~bits, std::memory_order_relaxed);  // a hint
  slots_in_use.fetch_sub(BytesOf(bits) / kSlabSize, std::memory_order_relaxed);  // an amount, orders nothing
  g_idle.AddIdle(BytesOf(bits), os::NowMs());
}

// Which UNUSED slots suit a slab.
struct Wanted {
  bool dense;      // it will be full, or may stay partly empty
  HeapId made_by;  // kNoHeap: by anybody
  bool purged;     // in a superslab of the other kind, also what was given back
};

// The UNUSED slots, of those given, that suit. In a superslab of another kind those that were in use before: they are
// resident, or, given back, cost a huge page nothing any more.
uint32_t Suitable(const Superslab& superslab, uint32_t unused, Wanted wanted) {
  // Relaxed, all: hints, which decide nothing but page sizes and neighbours.
  const bool huge = superslab.huge.load(std::memory_order_relaxed);          // a hint, orders nothing
  const HeapId made_by = superslab.made_by.load(std::memory_order_relaxed);  // as above
  if (huge == wanted.dense && (wanted.made_by == kNoHeap || made_by == wanted.made_by)) return unused;
  const uint32_t purged = wanted.purged ? superslab.purged.load(std::memory_order_relaxed) : 0;  // as above
  return unused & (superslab.dirty.load(std::memory_order_relaxed) | purged);                    // as above
}

// Takes `span` neighbouring UNUSED slots that are suitable: the index of the first, or -1.
int TakeUnused(Superslab& superslab, unsigned span, Wanted wanted) {
  uint32_t unused = superslab.unused.load(std::memory_order_relaxed);  // a look: the exchange decides
  for (;;) {
    const uint32_t fit = Suitable(superslab, unused, wanted);
    uint32_t starts = fit;
    for (unsigned i = 1; i < span && starts != 0; ++i) starts &= fit >> i;
    if (starts == 0) return -1;
    const unsigned first = static_cast<unsigned>(__builtin_ctz(starts));
    const uint32_t rest = unused & ~BitsOf(first, span);
    // Acquire: what the slots' last users wrote (dirty bits, generations) is visible.
    if (!superslab.unused.compare_exchange_weak(unused, rest, std::memory_order_acquire, std::memory_order_relaxed)) {
      continue;
    }
    if (rest == 0 && superslab.empty.load(std::memory_order_relaxed) == 0) {  // a hint
      registry.ClearHint(superslab.number);
      // A slot may have come back in between. Sequentially consistent, as where slots come back and in the hints:
      // either we see the slot, or who gave it back sees the hint cleared and sets it.
      if (superslab.unused.load(std::memory_order_seq_cst) != 0 ||
          superslab.empty.load(std::memory_order_seq_cst) != 0) {  // as above
        registry.SetHint(superslab.number);
      }
    }
    return static_cast<int>(first);
  }
}

void GiveUnused(Superslab& superslab, uint32_t bits) {
  // Publishes what we did to the slots; sequentially consistent for the hint's sake, see TakeUnused.
  superslab.unused.fetch_or(bits, std::memory_order_seq_cst);
  registry.SetHint(superslab.number);
}

// Makes EMPTY slots UNUSED, so that spans of other lengths can be cut from them.
void MakeEmptyUnused(Superslab& superslab) {
  uint32_t empty = superslab.empty.load(std::memory_order_relaxed);  // a hint: the slot's own word decides
  for (; empty != 0; empty &= empty - 1) {
    // Nothing else of the slab is read before the slot is ours: the superslab may be another one by now.
    const uint32_t bit = empty & -empty;
    Slab& slab = superslab.slabs[__builtin_ctz(empty)];
    const SlotValue value = slab.slot().Peek();
    if (value.state != SlotState::kEmpty) continue;
    if (!slab.slot().Change(value, SlotState::kUnused)) continue;
    empty_slots.fetch_sub(1, std::memory_order_relaxed);         // a count
    superslab.empty.fetch_and(~bit, std::memory_order_relaxed);  // a hint
    GiveUnused(superslab, BitsOf(slab));
  }
}

void PushLru(Superslab* superslab, uint64_t now) HAK_REQUIRES(lock) {
  superslab->in_lru = true;
  superslab->idle_since_ms = now;
  superslab->lru_prev = nullptr;
  superslab->lru_next = lru_first;
  (lru_first != nullptr ? lru_first->lru_prev : lru_last) = superslab;
  lru_first = superslab;
  ++lru_count;
}

void UnlinkLru(Superslab* superslab) HAK_REQUIRES(lock) {
  (superslab->lru_prev != nullptr ? superslab->lru_prev->lru_next : lru_first) = superslab->lru_next;
  (superslab->lru_next != nullptr ? superslab->lru_next->lru_prev : lru_last) = superslab->lru_prev;
  superslab->in_lru = false;
  --lru_count;
}

// The oldest superslab of the LRU, when the LRU is above `keep` bytes or it is idle since before `before_ms`.
Superslab* PopOldest(size_t keep, uint64_t before_ms) {
  LockHolder hold(lock);
  Superslab* oldest = lru_last;
  if (oldest == nullptr) return nullptr;
  if (lru_count * kSuperslabSize <= keep && oldest->idle_since_ms > before_ms) return nullptr;
  UnlinkLru(oldest);
  return oldest;
}

void GiveSpare(Superslab* superslab) {
  LockHolder hold(lock);
  superslab->lru_next = spare;
  spare = superslab;
}

// Whether so much of an idle superslab was given back that the rest had better follow, so that it can be a huge page.
bool IsTorn(const Superslab& superslab) {
  const uint32_t purged = superslab.purged.load(std::memory_order_relaxed);  // nobody holds a slot of this superslab
  return __builtin_popcount(purged) >= kTorn && g_options.huge_pages == 1 && os::HugePagesReturn();
}

// An idle superslab that nobody can reach any more goes to the page arena, its metadata to the spares.
void Dissolve(Superslab* superslab) {
  address_map::Remove(superslab->base, 1);
  // Relaxed: nobody holds a slot of this superslab.
  g_idle.RemoveIdle(BytesOf(superslab->dirty.load(std::memory_order_relaxed)));
  g_idle.RemoveSetAside(BytesOf(superslab->purged.load(std::memory_order_relaxed)));  // as above
  superslab->kind.store(Region::Kind::kNone, std::memory_order_relaxed);              // lookups go through the map
  HAK_LOG(kDebug, "superslab given up at ", AsHex(superslab->base));
  (IsTorn(*superslab) ? arena::ReleasePurged : arena::Release)(superslab->base, 1);
  superslabs_now.fetch_sub(1, std::memory_order_relaxed);  // a count
  GiveSpare(superslab);
}

// Puts a superslab without active slots into the LRU, unless somebody takes a slot of it meanwhile.
void TryIdle(Superslab& superslab) {
  if (superslab.active.load(std::memory_order_relaxed) != 0) return;  // a hint: the exchange below decides
  MakeEmptyUnused(superslab);
  uint32_t all = ~0u;
  // Acquire: the last users are done with all slots. From here on no slot of it can be taken.
  if (!superslab.unused.compare_exchange_strong(all, 0, std::memory_order_acquire, std::memory_order_relaxed)) return;
  registry.ClearHint(superslab.number);
  if (IsTorn(superslab)) {
    Dissolve(&superslab);
    return;
  }
  {
    LockHolder hold(lock);
    PushLru(&superslab, os::NowMs());
  }
  while (Superslab* oldest = PopOldest(kLruBytes, 0)) Dissolve(oldest);
}

// What metadata consists of besides the superslab itself, and its number; each once for all its lives. False without
// memory: what there is then stays.
bool Complete(Superslab& superslab) {
  if ((kTrackBlocks || ring::On()) && superslab.live_bits == nullptr) {
    superslab.live_bits =
        static_cast<std::atomic<uint64_t>*>(gate::AllocateMetadata(kLiveWords * sizeof(std::atomic<uint64_t>), 64));
    if (superslab.live_bits == nullptr) return false;
  }
  if (kGuardBuild && superslab.asked_sizes == nullptr) {
    superslab.asked_sizes = static_cast<std::atomic<uint32_t>*>(
        gate::AllocateMetadata(kSuperslabSize / kMinBlock * sizeof(std::atomic<uint32_t>), 64));
    if (superslab.asked_sizes == nullptr) return false;
  }
  return registry.At(superslab.number) == &superslab || registry.Add(&superslab);
}

// Metadata for a superslab, a spare one first; nullptr without memory.
Superslab* TakeMetadata() {
  Superslab* superslab;
  {
    LockHolder hold(lock);
    superslab = spare;
    if (superslab != nullptr) spare = superslab->lru_next;
  }
  if (superslab == nullptr) {
    superslab = static_cast<Superslab*>(gate::AllocateMetadata(sizeof(Superslab), alignof(Superslab)));
    if (superslab == nullptr) return nullptr;
  }
  if (Complete(*superslab)) return superslab;
  GiveSpare(superslab);
  return nullptr;
}

// A superslab whose slots nobody else can take yet; nullptr without memory.
Superslab* NewSuperslab(bool dense, HeapId who) {
  {
    LockHolder hold(lock);
    if (Superslab* recent = lru_first; recent != nullptr) {
      UnlinkLru(recent);
      recent->made_by.store(who, std::memory_order_relaxed);  // a hint
      Count(kStage3Lru);
      return recent;
    }
  }
  char* base = static_cast<char*>(arena::Acquire(1, kSuperslabSize));
  if (base == nullptr) return nullptr;
  Superslab* superslab = TakeMetadata();
  if (superslab == nullptr) {
    arena::Release(base, 1);
    return nullptr;
  }
  Poison(base, kSuperslabSize);
  const bool dirty = arena::IsDirty(base, 0);
  superslab->Prepare(base, dirty);
  if (!address_map::Enter(superslab, 1)) {
    arena::Release(base, 1);
    GiveSpare(superslab);
    return nullptr;
  }
  if (dirty) g_idle.AddIdle(kSuperslabSize, os::NowMs());
  superslabs_now.fetch_add(1, std::memory_order_relaxed);  // a count
  arena::SetHugePages(base, 1, dense);
  superslab->huge.store(dense, std::memory_order_relaxed);     // a hint
  superslab->unasked.store(dense, std::memory_order_relaxed);  // ditto
  superslab->made_by.store(who, std::memory_order_relaxed);    // ditto
  superslabs_mapped.fetch_add(1, std::memory_order_relaxed);   // a count
  Count(kStage3New);
  HAK_LOG(kDebug, "new superslab at ", AsHex(base));
  return superslab;
}

// An EMPTY slot of the right span, ACTIVE now; false when it is neither.
bool TakeEmpty(Slab& slab, SlotValue value, unsigned span) {
  if (value.state != SlotState::kEmpty || slab.span() != span) return false;
  if (!slab.slot().Change(value, SlotState::kActive)) return false;
  empty_slots.fetch_sub(1, std::memory_order_relaxed);                                 // a count
  slab.superslab().empty.fetch_and(~(1u << slab.index()), std::memory_order_relaxed);  // a hint
  return true;
}

OwnedSlab SetUpTaken(Cache& cache, Slab& slab, const Claimant& who, unsigned size_class) {
  Superslab& superslab = slab.superslab();
  cache.hot = &superslab;
  const bool clean = StartUse(superslab, BitsOf(slab.index(), kSizeClasses[size_class].span));
  return OwnedSlab::SetUp(slab, who, size_class, clean);
}

// Makes an UNUSED slot that was taken out of the mask ACTIVE.
OwnedSlab SetUpUnused(Cache& cache, Slab& slab, const Claimant& who, unsigned size_class) {
  const bool changed = slab.slot().Change(slab.slot().Peek(), SlotState::kActive);
  HAK_CHECK(changed);  // the mask gave the slot to us alone
  return SetUpTaken(cache, slab, who, size_class);
}

Slab* FindEmpty(Cache& cache, unsigned size_class, unsigned span) {
  if (Slab* slab = cache.last_released; slab != nullptr) {
    cache.last_released = nullptr;
    if (TakeEmpty(*slab, cache.last_value, span)) {
      Count(kStage0);
      return slab;
    }
  }
  if (cache.hot != nullptr) {
    uint32_t empty = cache.hot->empty.load(std::memory_order_relaxed);  // a hint: the slot's own word decides
    for (; empty != 0; empty &= empty - 1) {
      Slab& slab = cache.hot->slabs[__builtin_ctz(empty)];
      if (TakeEmpty(slab, slab.slot().Peek(), span)) {
        Count(kStage05);
        return &slab;
      }
    }
  }
  while (Slab* slab = empty_lists[size_class].Take()) {
    if (TakeEmpty(*slab, slab->slot().Peek(), span)) {
      Count(kStage1);
      return slab;
    }
  }
  return nullptr;
}

Slab* FindUnused(Cache& cache, unsigned span, Wanted wanted) {
  if (cache.hot != nullptr) {
    if (int i = TakeUnused(*cache.hot, span, wanted); i >= 0) return &cache.hot->slabs[i];
  }
  for (const bool cut_empty : {false, true}) {
    if (cut_empty && empty_slots.load(std::memory_order_relaxed) == 0) break;  // a hint
    int looked = 0;
    for (uint32_t n = registry.NextHint(0); n < registry.size() && looked < kMaxLooked; n = registry.NextHint(n + 1)) {
      Superslab* superslab = registry.At(n);
      if (superslab == nullptr) continue;
      if (cut_empty) MakeEmptyUnused(*superslab);
      const uint32_t unused = superslab->unused.load(std::memory_order_relaxed);  // a look
      if (Suitable(*superslab, unused, wanted) == 0) continue;
      ++looked;
      if (int i = TakeUnused(*superslab, span, wanted); i >= 0) return &superslab->slabs[i];
    }
  }
  return nullptr;
}

// Purges what is idle inside a superslab that is in use, when there are `least` idle slots. Bytes given back.
size_t PurgeSlots(Superslab& superslab, int least) {
  // Relaxed: hints; the exchange below takes the slots.
  const uint32_t idle =
      superslab.dirty.load(std::memory_order_relaxed) & ~superslab.active.load(std::memory_order_relaxed);
  // Of a huge page slots that were never in use are resident as well, in no account; they go with the others, and, when
  // everything that is idle goes, also without.
  const bool unasked = superslab.unasked.load(std::memory_order_relaxed);  // a hint, orders nothing
  if (__builtin_popcount(idle) < least && !(unasked && least == 1)) return 0;
  MakeEmptyUnused(superslab);
  uint32_t unused = superslab.unused.load(std::memory_order_relaxed);  // a look: the exchange decides
  uint32_t bits;
  do {
    bits =
        unasked ? unused : unused & superslab.dirty.load(std::memory_order_relaxed);  // perhaps out of date: see below
    if (bits == 0) return 0;
    // Acquire: the last users are done with the pages, and their dirty bits are visible.
  } while (!superslab.unused.compare_exchange_weak(unused, unused & ~bits, std::memory_order_acquire,
                                                   std::memory_order_relaxed));
  // Or the kernel might fill the gaps again, to make a huge page of what is left.
  arena::SetHugePages(superslab.base, 1, false);
  superslab.huge.store(false, std::memory_order_relaxed);     // a hint
  superslab.unasked.store(false, std::memory_order_relaxed);  // ditto
  // Ours now. Another thread may have purged some of them between our look at the dirty bits and the exchange: those
  // are not counted as idle any more. The others leave the account here, not after the purge, in which a fork may lose
  // us.
  const uint32_t was_dirty = superslab.dirty.load(std::memory_order_relaxed) & bits;
  g_idle.RemoveIdle(BytesOf(was_dirty));
  uint32_t purged = 0;
  for (unsigned i = 0; i < kSlabsPerSuperslab;) {
    if (((bits >> i) & 1) == 0) {
      ++i;
      continue;
    }
    unsigned end = i;
    while (end < kSlabsPerSuperslab && ((bits >> end) & 1) != 0) ++end;
    if (gate::Purge(superslab.base + i * kSlabSize, (end - i) * kSlabSize)) purged |= BitsOf(i, end - i);
    i = end;
  }
  superslab.dirty.fetch_and(~purged, std::memory_order_relaxed);             // ours; GiveUnused publishes
  superslab.purged.fetch_or(purged & was_dirty, std::memory_order_relaxed);  // as above
  g_idle.AddSetAside(BytesOf(purged & was_dirty));
  if ((was_dirty & ~purged) != 0) g_idle.AddIdle(BytesOf(was_dirty & ~purged), os::NowMs());
  GiveUnused(superslab, bits);
  TryIdle(superslab);
  return BytesOf(purged);
}

// Purges about `bytes`: whole superslabs first, then slots of those that have `least_slots` idle ones; beyond
// `split_bytes` out of huge pages only where that is worth it. Bytes given back.
size_t Purge(size_t bytes, int least_slots, size_t split_bytes) {
  size_t done = arena::PurgeIdle(bytes);
  while (done < bytes) {
    Superslab* oldest = PopOldest(0, 0);
    if (oldest == nullptr) break;
    Dissolve(oldest);
    done += arena::PurgeIdle(bytes - done);
  }
  // From the top: stage 2 takes from the bottom.
  for (uint32_t n = registry.size(); n-- > 0 && done < bytes;) {
    Superslab* superslab = registry.At(n);
    if (superslab == nullptr) continue;
    const bool stays = done >= split_bytes && superslab->huge.load(std::memory_order_relaxed);  // a hint
    done += PurgeSlots(*superslab, stays ? kWorthSplitting : least_slots);
  }
  while (done < bytes) {
    Superslab* oldest = PopOldest(0, 0);
    if (oldest == nullptr) break;
    Dissolve(oldest);
    done += arena::PurgeIdle(bytes - done);
  }
  return done;
}

size_t BytesInUse() { return slots_in_use.load(std::memory_order_relaxed) * kSlabSize; }  // an amount, orders nothing

// Whether another superslab is worse than small pages: also where addresses count as memory.
bool SuperslabsAreMany(uint64_t superslabs) {
  return g_options.memory_limit != 0 || superslabs > kSetAside + 2 * BytesInUse() / kSuperslabSize;
}

// How much may lie idle: what the option says, and a quarter of what is in use.
size_t IdleKeep() {
  const size_t share = BytesInUse() / 4;
  return share > g_options.idle_keep ? share : g_options.idle_keep;
}

// How much of what lies idle is too much beside what is in use to stay in huge pages of which a part is in use.
size_t TooMuchForHugePages(size_t idle) {
  const size_t half = BytesInUse() / 2;
  const size_t spared = half > kSplitInAnyCase ? half - kSplitInAnyCase : 0;
  return idle > spared ? idle - spared : 0;
}

}  // namespace

std::optional<OwnedSlab> Acquire(Cache& cache, const Claimant& who, unsigned size_class) {
  const unsigned span = kSizeClasses[size_class].span;
  if (Slab* slab = FindEmpty(cache, size_class, span); slab != nullptr) {
    return SetUpTaken(cache, *slab, who, size_class);
  }
  const uint64_t superslabs = superslabs_now.load(std::memory_order_relaxed);  // an amount, orders nothing
  const bool dense = cache.dense && g_options.huge_pages == 1 && superslabs >= kHugeFrom;
  const HeapId makers = last_maker.load(std::memory_order_relaxed);  // an amount, orders nothing
  const bool apart = dense && superslabs >= kApartFrom * makers;
  const bool purged = !dense || SuperslabsAreMany(superslabs);
  if (Slab* slab = FindUnused(cache, span, {dense, apart ? who.id : kNoHeap, purged}); slab != nullptr) {
    Count(kStage2);
    return SetUpUnused(cache, *slab, who, size_class);
  }
  // Before the system call, that threads which start at once see each other.
  if (who.id > makers) {
    last_maker.store(who.id, std::memory_order_relaxed);  // a guess, orders nothing: of two at once the lower may win
  }
  Superslab* superslab = NewSuperslab(dense, who.id);
  if (superslab == nullptr) {
    // Without memory any slot will do.
    Slab* slab = FindUnused(cache, span, {!dense, kNoHeap, true});
    if (slab == nullptr && apart) slab = FindUnused(cache, span, {dense, kNoHeap, true});
    if (slab == nullptr) return std::nullopt;
    Count(kStage2);
    return SetUpUnused(cache, *slab, who, size_class);
  }
  OwnedSlab owned = SetUpUnused(cache, superslab->slabs[0], who, size_class);
  GiveUnused(*superslab, ~BitsOf(0, span));
  return owned;
}

void Release(Cache& cache, Slab& slab) {
  Superslab& superslab = slab.superslab();
  const uint32_t bits = BitsOf(slab);
  const unsigned size_class = slab.size_class();
  EndUse(superslab, bits);
  const bool keep_empty = empty_lists[size_class].HasRoom();
  const SlotValue value = slab.slot().Peek();
  if (keep_empty) {
    empty_slots.fetch_add(1, std::memory_order_relaxed);  // a count
    // A hint, in place before it is true; sequentially consistent for the other hint's sake, see TakeUnused.
    superslab.empty.fetch_or(1u << slab.index(), std::memory_order_seq_cst);
  }
  const bool changed = slab.slot().Change(value, keep_empty ? SlotState::kEmpty : SlotState::kUnused);
  HAK_CHECK(changed);  // the slot was ACTIVE and ours
  if (keep_empty) {
    registry.SetHint(superslab.number);
    cache.last_released = &slab;
    cache.last_value = {SlotState::kEmpty, (value.generation + 1) & 0x3fffffff};
    empty_lists[size_class].Add(slab);
  } else {
    GiveUnused(superslab, bits);
  }
  TryIdle(superslab);
  Balance();
}

size_t GiveBackIdle(size_t bytes) { return Purge(bytes, 1, bytes); }

void Balance() {
  // What an early purge left as too scattered is not looked through again before a good deal has come to it; what the
  // system would not take (locked memory) is not offered again at once. Guesses: they order nothing.
  static constinit std::atomic<size_t> scattered{0};
  static constinit std::atomic<size_t> refused{0};
  static constinit std::atomic<uint64_t> refused_ms{0};
  for (;;) {
    const size_t idle = g_idle.idle();
    if (idle == 0) return;
    const uint64_t now = os::NowMs();
    const size_t keep = IdleKeep();
    const size_t excess = g_idle.Excess(now, keep, g_options.purge_delay_ms);
    if (excess == 0) return;
    const bool old = g_idle.IsOld(now, g_options.purge_delay_ms);
    size_t left = scattered.load(std::memory_order_relaxed);                   // as above
    if (idle < left) scattered.store(left = idle, std::memory_order_relaxed);  // as above
    if (!old && idle < left + keep / 4) return;
    const bool was_refused = idle == refused.load(std::memory_order_relaxed);                       // as above
    if (was_refused && now < refused_ms.load(std::memory_order_relaxed) + kOfferedAgainMs) return;  // as above
    // Sequentially consistent, both: whoever finds us at work and leaves has made its memory idle before, and we see
    // that when we are done. What the purge does stays inside.
    if (balancing.exchange(true, std::memory_order_seq_cst)) return;
    const uint64_t refusals = gate::PurgesRefused();
    const size_t purged = Purge(excess, old ? 1 : kWorthPurging, old ? excess : TooMuchForHugePages(idle));
    // Without what has come meanwhile: nobody has looked at that.
    scattered.store(idle > purged ? idle - purged : 0, std::memory_order_relaxed);                          // as above
    refused.store(purged == 0 && gate::PurgesRefused() != refusals ? idle : 0, std::memory_order_relaxed);  // as above
    refused_ms.store(now, std::memory_order_relaxed);                                                       // as above
    balancing.exchange(false, std::memory_order_seq_cst);  // see the exchange before
    if (purged == 0 && g_idle.idle() <= idle) return;
  }
}

void RepairAfterFork(size_t idle_elsewhere, bool interrupted) {
  balancing.store(false, std::memory_order_relaxed);  // a new child has one thread
  if (interrupted) return;
  // Threads that are gone may have been about to count what they took or gave up: all is counted anew. What they had
  // taken and not yet used is not: it is lost here.
  size_t idle = arena::GetUsage().idle + idle_elsewhere;
  size_t set_aside = 0;
  uint64_t slots = 0;
  uint64_t superslabs = 0;
  for (uint32_t n = 0; n < registry.size(); ++n) {
    Superslab* superslab = registry.At(n);
    if (superslab == nullptr || address_map::RegionOf(superslab->base) != superslab) continue;
    const uint32_t active = superslab->active.load(std::memory_order_relaxed);     // one thread
    uint32_t free_slots = superslab->unused.load(std::memory_order_relaxed);       // as above
    const uint32_t said_empty = superslab->empty.load(std::memory_order_relaxed);  // as above
    for (uint32_t rest = said_empty; rest != 0; rest &= rest - 1) {
      Slab& slab = superslab->slabs[__builtin_ctz(rest)];
      if (slab.slot().Peek().state == SlotState::kEmpty) free_slots |= BitsOf(slab);
    }
    if (superslab->in_lru) free_slots = ~0u;
    ++superslabs;
    slots += static_cast<uint64_t>(__builtin_popcount(active));
    idle += BytesOf(superslab->dirty.load(std::memory_order_relaxed) & free_slots & ~active);  // as above
    set_aside += BytesOf(superslab->purged.load(std::memory_order_relaxed) & free_slots);      // as above
  }
  superslabs_now.store(superslabs, std::memory_order_relaxed);  // as above
  slots_in_use.store(slots, std::memory_order_relaxed);         // as above
  g_idle.Recount(idle, set_aside);
}

uint64_t Superslabs() { return superslabs_now.load(std::memory_order_relaxed); }  // a count

Statistics GetStatistics() {
  Statistics statistics = {};
  statistics.superslabs = Superslabs();
  statistics.superslabs_mapped = superslabs_mapped.load(std::memory_order_relaxed);                     // a count
  statistics.active_slots = slots_in_use.load(std::memory_order_relaxed);                               // an amount
  for (int i = 0; i < 6; ++i) statistics.acquired[i] = acquired_at[i].load(std::memory_order_relaxed);  // a count
  return statistics;
}

void ForEachSuperslab(Visitor visit, void* context) {
  for (uint32_t n = 0; n < registry.size(); ++n) {
    if (Superslab* superslab = registry.At(n); superslab != nullptr) visit(*superslab, context);
  }
}

Lock& PoolLock() { return lock; }

}  // namespace hakmem::pool
