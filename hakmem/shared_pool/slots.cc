#include "hakmem/shared_pool/slots.h"

#include <atomic>

#include "hakmem/diag/check.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/store_if_other.h"

namespace hakmem::pool {
namespace {

// What the superslabs' active bits add up to: each release asks how much is in use, and cannot look at all of them.
constinit std::atomic<uint64_t> slots_in_use{0};
constinit std::atomic<uint32_t> empty_slots{0};

}  // namespace

constinit Registry g_registry;

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

void EndUse(Superslab& superslab, uint32_t bits) {
  superslab.dirty.fetch_or(bits, std::memory_order_relaxed);     // ours until the slots are given up, which releases
  superslab.active.fetch_and(~bits, std::memory_order_relaxed);  // a hint
  slots_in_use.fetch_sub(BytesOf(bits) / kSlabSize, std::memory_order_relaxed);  // an amount, orders nothing
  g_idle.AddIdle(BytesOf(bits), os::NowMs());
}

size_t BytesInUse() { return slots_in_use.load(std::memory_order_relaxed) * kSlabSize; }  // an amount, orders nothing

void RecountInUse(uint64_t slots) { StoreIfOther(slots_in_use, slots); }

uint32_t Suitable(const Superslab& superslab, uint32_t unused, Wanted wanted) {
  // Relaxed, all: hints, which decide nothing but page sizes and neighbours.
  const bool huge = superslab.huge.load(std::memory_order_relaxed);          // a hint, orders nothing
  const HeapId made_by = superslab.made_by.load(std::memory_order_relaxed);  // as above
  if (huge == wanted.dense && (wanted.made_by == kNoHeap || made_by == wanted.made_by)) return unused;
  const uint32_t purged = wanted.purged ? superslab.purged.load(std::memory_order_relaxed) : 0;  // as above
  return unused & (superslab.dirty.load(std::memory_order_relaxed) | purged);                    // as above
}

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
      g_registry.ClearHint(superslab.number);
      // A slot may have come back in between. Sequentially consistent, as where slots come back and in the hints:
      // either we see the slot, or who gave it back sees the hint cleared and sets it.
      if (superslab.unused.load(std::memory_order_seq_cst) != 0 ||
          superslab.empty.load(std::memory_order_seq_cst) != 0) {  // as above
        g_registry.SetHint(superslab.number);
      }
    }
    return static_cast<int>(first);
  }
}

void GiveUnused(Superslab& superslab, uint32_t bits) {
  // Publishes what we did to the slots; sequentially consistent for the hint's sake, see TakeUnused.
  superslab.unused.fetch_or(bits, std::memory_order_seq_cst);
  g_registry.SetHint(superslab.number);
}

bool TakeEmpty(Slab& slab, SlotValue value, unsigned span) {
  if (value.state != SlotState::kEmpty || slab.span() != span) return false;
  if (!slab.slot().Change(value, SlotState::kActive)) return false;
  empty_slots.fetch_sub(1, std::memory_order_relaxed);                                 // a count
  slab.superslab().empty.fetch_and(~(1u << slab.index()), std::memory_order_relaxed);  // a hint
  return true;
}

SlotValue GiveEmpty(Slab& slab) {
  // Nothing of the slab is read once it is EMPTY: it may be another superslab's by then.
  Superslab& superslab = slab.superslab();
  const SlotValue value = slab.slot().Peek();
  empty_slots.fetch_add(1, std::memory_order_relaxed);  // a count
  // A hint, in place before it is true; sequentially consistent for the other hint's sake, see TakeUnused.
  superslab.empty.fetch_or(1u << slab.index(), std::memory_order_seq_cst);
  const bool changed = slab.slot().Change(value, SlotState::kEmpty);
  HAK_CHECK(changed);  // the slot was ACTIVE and ours
  g_registry.SetHint(superslab.number);
  return {SlotState::kEmpty, (value.generation + 1) & 0x3fffffff};
}

bool AnyEmpty() { return empty_slots.load(std::memory_order_relaxed) != 0; }  // a hint

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

}  // namespace hakmem::pool
