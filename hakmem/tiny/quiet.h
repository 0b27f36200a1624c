// Free pages inside slabs in use that were left alone for a while.
//
// A few blocks that outlive a burst keep every slab of it. Of slabs into which nothing was freed for a while the free
// pages go back to the system, a few slabs at a time, in refills of the heap that owns them; of other slabs
// malloc_trim(3) gives them back.
#ifndef HAKMEM_TINY_QUIET_H_
#define HAKMEM_TINY_QUIET_H_

#include "hakmem/tiny/heap.h"

namespace hakmem::tiny {

// Looks for such slabs of the heap when it is time, and gives back a few. Cheap when it is not.
void GiveBackQuiet(Heap& heap);

}  // namespace hakmem::tiny

#endif  // HAKMEM_TINY_QUIET_H_
