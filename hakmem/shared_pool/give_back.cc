// Idle memory given back: how much may stay, what goes first, and its account in a forked child.
#include <atomic>

#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/at_work.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/store_if_other.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/shared_pool/slots.h"
#include "hakmem/shared_pool/superslabs.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::pool {
namespace {

// An early purge leaves superslabs with fewer idle slots alone: it would make a system call for little that is perhaps
// wanted again soon.
constexpr int kWorthPurging = 8;
// What is left of a huge page that is split is slower to reach, and often comes free soon after. So that of a superslab
// in use takes so many idle slots, as long as no more lies idle than half of what is in use, less a few megabytes.
constexpr int kWorthSplitting = 24;
constexpr size_t kSplitInAnyCase = size_t{4} << 20;
// Memory that the system would not take is offered again after so many milliseconds.
constexpr uint64_t kOfferedAgainMs = 1000;

// Balance, one thread at a time: a second one would only take the lock in turns with the first.
constinit std::atomic<bool> balancing{false};

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
  arena::SetHugePages(superslab.base(), 1, false);
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
    if (gate::Purge(superslab.base() + i * kSlabSize, (end - i) * kSlabSize)) purged |= BitsOf(i, end - i);
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
  const AtWork at_work;
  size_t done = arena::PurgeIdle(bytes);
  while (done < bytes && DissolveOldest()) done += arena::PurgeIdle(bytes - done);
  // From the top: stage 2 takes from the bottom.
  for (uint32_t n = g_registry.size(); n-- > 0 && done < bytes;) {
    Superslab* superslab = g_registry.At(n);
    if (superslab == nullptr) continue;
    const bool stays = done >= split_bytes && superslab->huge.load(std::memory_order_relaxed);  // a hint
    done += PurgeSlots(*superslab, stays ? kWorthSplitting : least_slots);
  }
  while (done < bytes && DissolveOldest()) done += arena::PurgeIdle(bytes - done);
  return done;
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

size_t GiveBackIdle(size_t bytes) { return Purge(bytes, 1, bytes); }

bool GiveUpIdleSuperslabs() {
  const AtWork at_work;
  bool any = false;
  while (DissolveOldest()) any = true;
  return any;
}

void Balance() {
  // What an early purge left as too scattered is not looked through again before a good deal has come to it; what the
  // system would not take (locked memory, before Linux 5.18) is not offered again at once. Guesses: they order nothing.
  static constinit std::atomic<size_t> scattered{0};
  static constinit std::atomic<size_t> refused{0};
  static constinit std::atomic<uint64_t> refused_ms{0};
  for (;;) {
    const size_t idle = g_idle.idle();
    if (idle == 0) return;
    const uint64_t now = os::NowMs();
    const size_t keep = IdleKeep();
    g_idle.LookForEnd(now, BytesInUse(), keep);
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
  StoreIfOther(balancing, false);
  if (interrupted) return;
  // Threads that are gone may have been about to count what they took or gave up: all is counted anew. What they had
  // taken and not yet used is not: it is lost here.
  size_t idle = arena::GetUsage().idle + idle_elsewhere;
  size_t set_aside = 0;
  uint64_t slots = 0;
  uint64_t superslabs = 0;
  for (uint32_t n = 0; n < g_registry.size(); ++n) {
    Superslab* superslab = g_registry.At(n);
    if (superslab == nullptr || address_map::RegionOf(superslab->base()) != superslab) continue;
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
  RecountSuperslabs(superslabs);
  RecountInUse(slots);
  g_idle.Recount(idle, set_aside);
}

}  // namespace hakmem::pool
