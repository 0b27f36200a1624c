#include <hakmem/hakmem.h>

#include "testing/op_stream/allocator.h"

namespace hakmem::op_stream {

const Allocator& HakAllocator() {
  static const Allocator allocator = {
      .name = "hakmem",
      .malloc = hak_malloc,
      .calloc = hak_calloc,
      .realloc = hak_realloc,
      .reallocarray = hak_reallocarray,
      .aligned_alloc = hak_aligned_alloc,
      .posix_memalign = hak_posix_memalign,
      .memalign = hak_memalign,
      .free = hak_free,
      .usable_size = [](void* p) { return hak_usable_size(p); },
      .free_sized = hak_free_sized,
      .free_aligned_sized = hak_free_aligned_sized,
      .trim = hak_trim,
  };
  return allocator;
}

}  // namespace hakmem::op_stream
