#include "hakmem/superslab/address_map.h"

#include <atomic>

#include "hakmem/mmap_gate/mmap_gate.h"

namespace hakmem::address_map {
namespace {

constinit std::atomic<Region*> window_regions[kWindowSuperslabs] = {};

// Outside the window: two levels over the bits above a superslab.
constexpr unsigned kLeafBits = 13;
constexpr unsigned kRootBits = kAddressBits - kSuperslabShift - kLeafBits;
struct Leaf {
  std::atomic<Region*> regions[size_t{1} << kLeafBits];
};
constinit std::atomic<Leaf*> root[size_t{1} << kRootBits] = {};

// The entry for `p`, nullptr when there is none; `make` creates it.
std::atomic<Region*>* EntryOf(const void* p, bool make) {
  if (InWindow(p)) return &window_regions[WindowOffset(p) >> kSuperslabShift];
  const uintptr_t piece = reinterpret_cast<uintptr_t>(p) >> kSuperslabShift;
  if (piece >> (kRootBits + kLeafBits) != 0) return nullptr;
  std::atomic<Leaf*>& slot = root[piece >> kLeafBits];
  Leaf* leaf = slot.load(std::memory_order_acquire);  // acquire: sees the leaf as its maker left it, all zero
  if (leaf == nullptr) {
    if (!make) return nullptr;
    Leaf* fresh = static_cast<Leaf*>(gate::AllocateMetadata(sizeof(Leaf), 64));
    if (fresh == nullptr) return nullptr;
    // Acquire and release: as above, for both who makes the leaf and who finds it made. A second leaf that lost the
    // race stays unused: it was never touched.
    if (slot.compare_exchange_strong(leaf, fresh, std::memory_order_acq_rel, std::memory_order_acquire)) leaf = fresh;
  }
  return &leaf->regions[piece & ((size_t{1} << kLeafBits) - 1)];
}

}  // namespace

Region* RegionOf(const void* p) {
  const std::atomic<Region*>* entry = EntryOf(p, false);
  // Acquire: the region is set up when it can be found here.
  return entry == nullptr ? nullptr : entry->load(std::memory_order_acquire);
}

bool Enter(Region* region, size_t pieces) {
  for (size_t i = 0; i < pieces; ++i) {
    std::atomic<Region*>* entry = EntryOf(region->base() + (i << kSuperslabShift), true);
    if (entry == nullptr) {
      Remove(region->base(), i);
      return false;
    }
    entry->store(region, std::memory_order_release);  // publishes the region as it was set up
  }
  return true;
}

void Remove(const void* base, size_t pieces) {
  for (size_t i = 0; i < pieces; ++i) {
    std::atomic<Region*>* entry = EntryOf(static_cast<const char*>(base) + (i << kSuperslabShift), false);
    if (entry != nullptr)
      entry->store(nullptr, std::memory_order_release);  // nothing hangs on it; symmetric with Enter
  }
}

Slab* SlabOf(const void* p) {
  Region* region = RegionOf(p);
  // Relaxed: RegionOf has ordered the region's set-up.
  if (region == nullptr || region->kind.load(std::memory_order_relaxed) != Region::Kind::kSuperslab) return nullptr;
  Slab& slab = static_cast<Superslab*>(region)->SlabAt(p);
  if (slab.slot().Peek().state != SlotState::kActive) return nullptr;
  return &slab;
}

}  // namespace hakmem::address_map
