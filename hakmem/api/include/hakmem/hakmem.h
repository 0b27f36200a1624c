// The C interface of hakmem under its own names.
//
// A program that preloads or links hakmem gets the standard names (malloc, free, ...) as well. These names work in
// every build, also beside another malloc: blocks of the two must then not be mixed.
//
// Every function is thread-safe. None is async-signal-safe unless it says so, as malloc(3) is not. Sizes and alignments
// are in bytes.
#ifndef HAKMEM_HAKMEM_H_
#define HAKMEM_HAKMEM_H_

#include <stddef.h>

#define HAKMEM_VERSION_MAJOR 0
#define HAKMEM_VERSION_MINOR 1
#define HAKMEM_VERSION_PATCH 0

#if defined(__GNUC__)
#define HAKMEM_PUBLIC __attribute__((visibility("default")))
#else
#define HAKMEM_PUBLIC
#endif

#ifdef __cplusplus
extern "C" {
#define HAKMEM_NOEXCEPT noexcept
#else
#define HAKMEM_NOEXCEPT
#endif

// malloc(3): `size` bytes aligned to 16 (to 8 below 16 bytes at least), uninitialised. 0 gives a unique pointer.
// NULL and ENOMEM when memory is exhausted or `size` exceeds PTRDIFF_MAX.
HAKMEM_PUBLIC void* hak_malloc(size_t size) HAKMEM_NOEXCEPT;

// calloc(3): `count` * `size` zeroed bytes. NULL and ENOMEM also when the product overflows.
HAKMEM_PUBLIC void* hak_calloc(size_t count, size_t size) HAKMEM_NOEXCEPT;

// realloc(3): resizes `ptr`, keeping the smaller of both sizes' contents. realloc(NULL, n) allocates; realloc(p, 0)
// frees `p` and returns NULL, as glibc does. On failure `ptr` stays valid and NULL is returned with ENOMEM.
HAKMEM_PUBLIC void* hak_realloc(void* ptr, size_t size) HAKMEM_NOEXCEPT;

// reallocarray(3): realloc of `count` * `size`, refusing an overflow of the product with ENOMEM.
HAKMEM_PUBLIC void* hak_reallocarray(void* ptr, size_t count, size_t size) HAKMEM_NOEXCEPT;

// free(3): gives `ptr` back; NULL does nothing. Keeps errno. A pointer that hakmem did not hand out is reported.
HAKMEM_PUBLIC void hak_free(void* ptr) HAKMEM_NOEXCEPT;

// free_sized and free_aligned_sized of C23 (7.24.3.4, 7.24.3.5): `size` and `alignment` must be those asked for.
HAKMEM_PUBLIC void hak_free_sized(void* ptr, size_t size) HAKMEM_NOEXCEPT;
HAKMEM_PUBLIC void hak_free_aligned_sized(void* ptr, size_t alignment, size_t size) HAKMEM_NOEXCEPT;

// posix_memalign(3): 0, EINVAL (alignment not a power of two or not a multiple of sizeof(void*)) or ENOMEM; errno is
// left alone, and so is `*out` on failure.
HAKMEM_PUBLIC int hak_posix_memalign(void** out, size_t alignment, size_t size) HAKMEM_NOEXCEPT;

// aligned_alloc(3): NULL with EINVAL when `alignment` is not a power of two.
HAKMEM_PUBLIC void* hak_aligned_alloc(size_t alignment, size_t size) HAKMEM_NOEXCEPT;

// memalign(3): as glibc, an alignment that is not a power of two is rounded up to one.
HAKMEM_PUBLIC void* hak_memalign(size_t alignment, size_t size) HAKMEM_NOEXCEPT;

// valloc(3) and pvalloc(3): page-aligned; pvalloc also rounds the size up to whole pages.
HAKMEM_PUBLIC void* hak_valloc(size_t size) HAKMEM_NOEXCEPT;
HAKMEM_PUBLIC void* hak_pvalloc(size_t size) HAKMEM_NOEXCEPT;

// malloc_usable_size(3): bytes that may be used at `ptr`; 0 for NULL and for memory that is not hakmem's.
HAKMEM_PUBLIC size_t hak_usable_size(const void* ptr) HAKMEM_NOEXCEPT;

// 1 when `ptr` lies in a block area of hakmem, else 0. Reads nothing behind `ptr`: any value may be given.
HAKMEM_PUBLIC int hak_owns(const void* ptr) HAKMEM_NOEXCEPT;

// malloc_trim(3): gives free pages back to the system: those between blocks, and of memory that no block uses all but
// `keep` bytes, or up to 2 MiB fewer, as it goes in pieces; with 0 the addresses of free memory as well. 1 if any pages
// were given back, else 0. Thread-safe.
HAKMEM_PUBLIC int hak_trim(size_t keep) HAKMEM_NOEXCEPT;

// Prints the statistics as text to file descriptor `fd`, or, when `as_json` is not 0, as one JSON object. Allocates
// nothing.
HAKMEM_PUBLIC void hak_stats_print(int fd, int as_json) HAKMEM_NOEXCEPT;

// Writes the debug ring (HAKMEM_RING) of all threads to file descriptor `fd`, in the form that the flight tool reads. 1
// when it was written whole; 0 when the ring is off or the file takes no more. Allocates nothing; async-signal-safe.
HAKMEM_PUBLIC int hak_ring_dump(int fd) HAKMEM_NOEXCEPT;

// The version and build, such as "hakmem 0.1.0 (release)". A static string.
HAKMEM_PUBLIC const char* hak_version(void) HAKMEM_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // HAKMEM_HAKMEM_H_
