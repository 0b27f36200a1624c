// An allocator as a table of functions, with what may be expected of it beyond the standards.
#ifndef TESTING_OP_STREAM_ALLOCATOR_H_
#define TESTING_OP_STREAM_ALLOCATOR_H_

#include <cstddef>

namespace hakmem::op_stream {

struct Allocator {
  const char* name;

  void* (*malloc)(size_t size);
  void* (*calloc)(size_t count, size_t size);
  void* (*realloc)(void* p, size_t size);
  void* (*reallocarray)(void* p, size_t count, size_t size);
  void* (*aligned_alloc)(size_t alignment, size_t size);
  int (*posix_memalign)(void** out, size_t alignment, size_t size);
  void* (*memalign)(size_t alignment, size_t size);
  void (*free)(void* p);
  size_t (*usable_size)(void* p);

  // May be null: then free serves, and trim does nothing.
  void (*free_sized)(void* p, size_t size);
  void (*free_aligned_sized)(void* p, size_t alignment, size_t size);
  int (*trim)(size_t keep);

  // Where the standards leave it open, or allocators in use do not follow them.
  bool refuses = true;                  // requests that cannot be met give NULL; a sanitizer's malloc ends the program
  bool aligned_alloc_checks = true;     // EINVAL for an alignment that is no power of two
  bool aligned_alloc_multiple = false;  // aligned_alloc takes only multiples of the alignment
  bool quiet_posix_memalign = true;     // errno is left alone, also on failure
  bool quiet_free = true;               // free leaves errno alone
  bool quiet_success = true;            // every call that succeeds leaves errno alone
};

// hakmem under its hak_ names.
const Allocator& HakAllocator();

// What the program's own malloc, free and relatives are bound to: the C library's, a sanitizer's, or what is preloaded.
const Allocator& SystemAllocator();

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_ALLOCATOR_H_
