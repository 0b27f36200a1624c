#include "hakmem/shared_pool/shared_pool.h"

#include <atomic>
#include <initializer_list>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/platform/store_if_other.h"
#include "hakmem/shared_pool/empty_list.h"
#include "hakmem/shared_pool/slots.h"
#include "hakmem/shared_pool/superslabs.h"

namespace hakmem::pool {
namespace {

// A process with this many superslabs gets huge pages for slabs that will be used from end to end: the one huge page of
// which a part is not in use yet is little beside the rest.
constexpr uint64_t kHugeFrom = 2;
// Where several heaps have made them, each has begun slabs of many classes and filled few: there the slots in use have
// to fill those superslabs. So they have in a process that forks much, as shells do: each child's and parent's first
// writes to a huge page split it, and copy page by page what few of its small blocks need.
constexpr size_t kHugeFromBytes = 4 * kSuperslabSize;
// With so many superslabs for each heap that has made one, the slots of those for full slabs go to the heap that made
// them. What the blocks of one thread fill comes free as a whole when it frees them: a huge page that is shared has to
// be split, or waits, when one of its users is done. One superslab of each heap is not all used yet, a sixteenth in
// all.
constexpr uint64_t kApartFrom = 16;
// What was given back of a huge page comes back in small ones, a page fault for each. So another superslab is taken
// instead, while there are no more than these and two for each that the slots in use would fill: their metadata, and
// looking through them, is not worth more.
constexpr uint64_t kSetAside = 128;
// How many superslabs stage 2 looks at before it asks for another one.
constexpr int kMaxLooked = 256;

constinit EmptyList empty_lists[kClasses];

constinit std::atomic<HeapId> last_maker{kNoHeap};  // the highest id of a heap that has made a superslab
// Of a process that forks again and again. One that forks now and then gains more by huge pages than it loses.
constexpr uint32_t kManyForks = 9;
// How many more forks make it one. (Not zero at first, which puts it beside the locks, in a page that each fork writes
// to anyway.)
constinit std::atomic<uint32_t> forks_left{kManyForks};

enum Stage { kStage0, kStage05, kStage1, kStage2, kStage3Lru, kStage3New };
constinit std::atomic<uint64_t> acquired_at[6] = {};

void Count(Stage stage) {
  acquired_at[stage].fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
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
    if (cut_empty && !AnyEmpty()) break;
    int looked = 0;
    for (uint32_t n = g_registry.NextHint(0); n < g_registry.size() && looked < kMaxLooked;
         n = g_registry.NextHint(n + 1)) {
      Superslab* superslab = g_registry.At(n);
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

// Whether the process is large enough for huge pages. `makers`: the highest id of a heap that has made a superslab.
bool IsWorthHugePages(uint64_t superslabs, HeapId makers) {
  if (superslabs < kHugeFrom) return false;
  const bool may_be_small = makers <= 1 && forks_left.load(std::memory_order_relaxed) != 0;  // a hint, orders nothing
  return may_be_small || BytesInUse() >= kHugeFromBytes;
}

// Whether another superslab is worse than small pages: also where addresses count as memory.
bool SuperslabsAreMany(uint64_t superslabs) {
  return g_options.memory_limit != 0 || superslabs > kSetAside + 2 * BytesInUse() / kSuperslabSize;
}

}  // namespace

std::optional<OwnedSlab> Acquire(Cache& cache, const Claimant& who, unsigned size_class) {
  const unsigned span = kSizeClasses[size_class].span;
  if (Slab* slab = FindEmpty(cache, size_class, span); slab != nullptr) {
    return SetUpTaken(cache, *slab, who, size_class);
  }
  const uint64_t superslabs = Superslabs();
  const HeapId makers = last_maker.load(std::memory_order_relaxed);  // an amount, orders nothing
  const bool dense = cache.dense && g_options.huge_pages == 1 && IsWorthHugePages(superslabs, makers);
  const bool apart = dense && superslabs >= kApartFrom * makers;
  const bool purged = !dense || SuperslabsAreMany(superslabs);
  Slab* slab = FindUnused(cache, span, {dense, apart ? who.id : kNoHeap, purged});
  // Of a huge page that these alone would fill too much would be left over.
  const bool in_rest = dense && !FillsSuperslabs(kSizeClasses[size_class]);
  if (in_rest && slab == nullptr) slab = FindUnused(cache, span, {false, kNoHeap, true});
  if (slab != nullptr) {
    Count(kStage2);
    return SetUpUnused(cache, *slab, who, size_class);
  }
  // Before the system call, that threads which start at once see each other.
  if (who.id > makers) {
    last_maker.store(who.id, std::memory_order_relaxed);  // a guess, orders nothing: of two at once the lower may win
  }
  Superslab* superslab = TakeIdleSuperslab(who.id);
  const bool idle = superslab != nullptr;
  if (!idle) superslab = MakeSuperslab(dense && !in_rest, who.id);
  if (superslab == nullptr) {
    // Without memory any slot will do.
    slab = FindUnused(cache, span, {!dense, kNoHeap, true});
    if (slab == nullptr && apart) slab = FindUnused(cache, span, {dense, kNoHeap, true});
    if (slab == nullptr) return std::nullopt;
    Count(kStage2);
    return SetUpUnused(cache, *slab, who, size_class);
  }
  Count(idle ? kStage3Lru : kStage3New);
  OwnedSlab owned = SetUpUnused(cache, superslab->slabs[0], who, size_class);
  GiveUnused(*superslab, ~BitsOf(0, span));
  return owned;
}

void NoteFork(bool in_child) {
  if (in_child) return StoreIfOther(forks_left, kManyForks);
  const uint32_t left = forks_left.load(std::memory_order_relaxed);      // a hint, orders nothing
  if (left != 0) forks_left.store(left - 1, std::memory_order_relaxed);  // of two forks at once one may not count
}

void Release(Cache& cache, Slab& slab) {
  Superslab& superslab = slab.superslab();
  const uint32_t bits = BitsOf(slab);
  const unsigned size_class = slab.size_class();
  EndUse(superslab, bits);
  if (empty_lists[size_class].HasRoom()) {
    cache.last_value = GiveEmpty(slab);
    cache.last_released = &slab;
    empty_lists[size_class].Add(slab);
  } else {
    const bool changed = slab.slot().Change(slab.slot().Peek(), SlotState::kUnused);
    HAK_CHECK(changed);  // the slot was ACTIVE and ours
    GiveUnused(superslab, bits);
  }
  TryIdle(superslab);
  Balance();
}

Statistics GetStatistics() {
  Statistics statistics = {};
  statistics.superslabs = Superslabs();
  statistics.superslabs_mapped = SuperslabsMade();
  statistics.active_slots = BytesInUse() / kSlabSize;
  for (int i = 0; i < 6; ++i) statistics.acquired[i] = acquired_at[i].load(std::memory_order_relaxed);  // a count
  return statistics;
}

void ForEachSuperslab(Visitor visit, void* context) {
  for (uint32_t n = 0; n < g_registry.size(); ++n) {
    if (Superslab* superslab = g_registry.At(n); superslab != nullptr) visit(*superslab, context);
  }
}

}  // namespace hakmem::pool
