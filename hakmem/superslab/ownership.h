// The ownership assertion: who uses a slab's token has to be the thread that drives the heap that owns the slab.
//
// The type OwnedSlab makes it hard to touch a slab without owning it; this finds, while the program runs, what gets
// past the type: a token that was not earned, one that outlived the ownership, one that went to another thread. That
// nobody owns the slab is not good enough. Compiled in where kCheckOwnership says so; elsewhere the types below are
// empty.
#ifndef HAKMEM_SUPERSLAB_OWNERSHIP_H_
#define HAKMEM_SUPERSLAB_OWNERSHIP_H_

#include <cstdint>
#include <type_traits>

#include "hakmem/platform/build.h"
#include "hakmem/platform/thread_pointer.h"
#include "hakmem/superslab/remote_word.h"

namespace hakmem {

class Slab;

namespace ownership {

// The thread that drives a heap. Changes under the heap pool's lock.
struct Driver {
  static constexpr uintptr_t kAnyThread = ~uintptr_t{0};  // a claimant that is no heap: tests of this room
  uintptr_t thread = kAnyThread;
  void Start() { thread = ThreadPointer(); }
  void Stop() { thread = 0; }
  bool IsThisThread() const { return thread == kAnyThread || thread == ThreadPointer(); }
};
struct NoDriver {
  void Start() {}
  void Stop() {}
};

// What a token remembers of its claimant.
struct Holder {
  HeapId id;
  Driver driver;
  Holder(HeapId heap, const Driver& drives) : id(heap), driver(drives) {}
};
struct NoHolder {
  NoHolder(HeapId, const NoDriver&) {}
};

// Aborts, with thread, slab and owner, unless the calling thread drives the heap of `holder` and that heap owns `slab`.
void Check(const Slab& slab, const Holder& holder, const char* what);
inline void Check(const Slab&, const NoHolder&, const char*) {}

// Aborts unless the calling thread drives the heap that wants to claim `slab`.
void CheckClaimant(const Slab& slab, const Holder& claimant);
inline void CheckClaimant(const Slab&, const NoHolder&) {}

}  // namespace ownership

using HeapDriver = std::conditional_t<kCheckOwnership, ownership::Driver, ownership::NoDriver>;
using TokenHolder = std::conditional_t<kCheckOwnership, ownership::Holder, ownership::NoHolder>;

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_OWNERSHIP_H_
