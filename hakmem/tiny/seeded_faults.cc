#include "hakmem/tiny/seeded_faults.h"

#if !defined(HAKMEM_BUILD_RELEASE)

// Undefined, and so without an address, but for the tests that put a fault back.
extern "C" __attribute__((weak)) const int hakmem_seeded_fault;

namespace hakmem {
namespace {

// What a source names that then belongs to all heaps.
constinit std::atomic<Slab*> sticky_slots[kClasses] = {};
constinit std::atomic<Slab*> hot_slots[kClasses] = {};
constinit std::atomic<Slab*> bench_slots[kClasses] = {};

// What the slot names; `slab`, if there is one, takes its place.
Slab* Exchange(std::atomic<Slab*>& slot, Slab* slab) {
  if (slab == nullptr) return slot.load(std::memory_order_relaxed);  // as below
  return slot.exchange(slab, std::memory_order_relaxed);             // a name: nothing hangs on it, which is the fault
}

}  // namespace

void SeededFaults::DrainUnclaimed(Heap& heap, Slab* slab, unsigned size_class) {
  if (slab == nullptr || slab->size_class() != size_class || slab->slot().Peek().state != SlotState::kActive) return;
  OwnedSlab token(*slab, heap.who);
  if (!token.HasFree() && token.HasRemote()) token.Drain();
}

void SeededFaults::At(Fault place, Heap& heap, unsigned size_class, Slab* candidate) {
  if (&hakmem_seeded_fault == nullptr || hakmem_seeded_fault != place) return;
  struct Scan {
    Heap& heap;
    unsigned size_class;
  } scan = {heap, size_class};
  const auto drain_all = [](Superslab& superslab, void* opaque) {
    const Scan& s = *static_cast<Scan*>(opaque);
    for (Slab& slab : superslab.slabs) DrainUnclaimed(s.heap, &slab, s.size_class);
  };
  switch (place) {
    case kNone: break;
    case kScanSuperslabs: pool::ForEachSuperslab(drain_all, &scan); break;
    case kScanHot:
      if (heap.pool_cache.hot != nullptr) drain_all(*heap.pool_cache.hot, &scan);
      break;
    case kSticky: DrainUnclaimed(heap, Exchange(sticky_slots[size_class], candidate), size_class); break;
    case kHot: DrainUnclaimed(heap, Exchange(hot_slots[size_class], candidate), size_class); break;
    case kBench: DrainUnclaimed(heap, Exchange(bench_slots[size_class], candidate), size_class); break;
    case kGate: DrainUnclaimed(heap, candidate, size_class); break;
  }
}

}  // namespace hakmem

#endif
