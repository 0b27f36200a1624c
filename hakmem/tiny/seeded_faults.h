// The seam through which a test puts a fault back into refill: each drains a slab that the heap does not own. A fault
// is linked in: a test defines hakmem_seeded_fault (a const int, C linkage) as one of the numbers below. Release builds
// contain nothing of this.
#ifndef HAKMEM_TINY_SEEDED_FAULTS_H_
#define HAKMEM_TINY_SEEDED_FAULTS_H_

#include "hakmem/tiny/heap.h"

namespace hakmem {

class SeededFaults {
 public:
  enum Fault : int {
    kNone = 0,
    kScanSuperslabs = 1,  // a scan of all superslabs drains whatever it finds
    kScanHot = 2,         // a scan of the hot superslab does
    // A source drains what it names, before the claim. The slots of the sticky ring, the hot slot and the bench slot
    // then belong to all heaps, so that what they name may be anybody's.
    kSticky = 3,
    kHot = 4,
    kBench = 5,
    kGate = 6,
  };

  // Refill has come to `place`, where `candidate` (nullptr: none) was named.
  static void At(Fault place, Heap& heap, unsigned size_class, Slab* candidate);

 private:
  static void DrainUnclaimed(Heap& heap, Slab* slab, unsigned size_class);
};

}  // namespace hakmem

#endif  // HAKMEM_TINY_SEEDED_FAULTS_H_
