#include "hakmem/shared_pool/superslabs.h"

#include <atomic>

#include "hakmem/config/options.h"
#include "hakmem/diag/log.h"
#include "hakmem/diag/ring.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/lock.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/poison.h"
#include "hakmem/platform/store_if_other.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/shared_pool/slots.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::pool {
namespace {

// The LRU holds at most this much idle memory; what is beyond goes to the page arena, where larger blocks find it, too.
constexpr size_t kLruBytes = size_t{8} << 20;
// A superslab of which so many slots were given back goes as a whole when it is idle.
constexpr int kTorn = 8;

constinit Lock lock{LockRank::kSharedPool};

// Idle superslabs, most recent first, and metadata without a superslab.
constinit Superslab* lru_first HAK_GUARDED_BY(lock) = nullptr;
constinit Superslab* lru_last HAK_GUARDED_BY(lock) = nullptr;
constinit size_t lru_count HAK_GUARDED_BY(lock) = 0;
constinit Superslab* spare HAK_GUARDED_BY(lock) = nullptr;

constinit std::atomic<uint64_t> superslabs_now{0};
constinit std::atomic<uint64_t> superslabs_made{0};

void PushLru(Superslab* superslab) HAK_REQUIRES(lock) {
  superslab->in_lru = true;
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

// Takes the superslab that is idle longest out of the LRU, while that holds more than `keep` bytes.
Superslab* PopOldest(size_t keep) {
  LockHolder hold(lock);
  Superslab* oldest = lru_last;
  if (oldest == nullptr || lru_count * kSuperslabSize <= keep) return nullptr;
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
  address_map::Remove(superslab->base(), 1);
  // Relaxed: nobody holds a slot of this superslab.
  g_idle.RemoveIdle(BytesOf(superslab->dirty.load(std::memory_order_relaxed)));
  g_idle.RemoveSetAside(BytesOf(superslab->purged.load(std::memory_order_relaxed)));  // as above
  superslab->kind.store(Region::Kind::kNone, std::memory_order_relaxed);              // lookups go through the map
  HAK_LOG(kDebug, "superslab given up at ", AsHex(superslab->base()));
  (IsTorn(*superslab) ? arena::ReleasePurged : arena::Release)(superslab->base(), 1);
  superslabs_now.fetch_sub(1, std::memory_order_relaxed);  // a count
  GiveSpare(superslab);
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
  return g_registry.At(superslab.number) == &superslab || g_registry.Add(&superslab);
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

}  // namespace

Superslab* TakeIdleSuperslab(HeapId who) {
  LockHolder hold(lock);
  Superslab* recent = lru_first;
  if (recent == nullptr) return nullptr;
  UnlinkLru(recent);
  recent->made_by.store(who, std::memory_order_relaxed);  // a hint
  return recent;
}

Superslab* MakeSuperslab(bool dense, HeapId who) {
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
  superslabs_made.fetch_add(1, std::memory_order_relaxed);     // a count
  HAK_LOG(kDebug, "new superslab at ", AsHex(base));
  return superslab;
}

void TryIdle(Superslab& superslab) {
  if (superslab.active.load(std::memory_order_relaxed) != 0) return;  // a hint: the exchange below decides
  MakeEmptyUnused(superslab);
  uint32_t all = ~0u;
  // Acquire: the last users are done with all slots. From here on no slot of it can be taken.
  if (!superslab.unused.compare_exchange_strong(all, 0, std::memory_order_acquire, std::memory_order_relaxed)) return;
  g_registry.ClearHint(superslab.number);
  if (IsTorn(superslab)) {
    Dissolve(&superslab);
    return;
  }
  {
    LockHolder hold(lock);
    PushLru(&superslab);
  }
  while (Superslab* oldest = PopOldest(kLruBytes)) Dissolve(oldest);
}

bool DissolveOldest() {
  Superslab* oldest = PopOldest(0);
  if (oldest == nullptr) return false;
  Dissolve(oldest);
  return true;
}

uint64_t Superslabs() { return superslabs_now.load(std::memory_order_relaxed); }  // a count

uint64_t SuperslabsMade() { return superslabs_made.load(std::memory_order_relaxed); }  // a count

void RecountSuperslabs(uint64_t superslabs) { StoreIfOther(superslabs_now, superslabs); }

Lock& PoolLock() { return lock; }

}  // namespace hakmem::pool
