// What happens to a slab, for the debug ring.
#ifndef HAKMEM_SUPERSLAB_SLAB_EVENT_H_
#define HAKMEM_SUPERSLAB_SLAB_EVENT_H_

#include "hakmem/diag/ring.h"
#include "hakmem/superslab/slab.h"

namespace hakmem::ring {

HAK_ALWAYS_INLINE void Note(Event event, const Slab& slab, const void* pointer = nullptr, uint64_t value = 0) {
  if (On()) Write(event, pointer, slab.base(), slab.size_class(), slab.owner(), value, nullptr);
}

}  // namespace hakmem::ring

#endif  // HAKMEM_SUPERSLAB_SLAB_EVENT_H_
