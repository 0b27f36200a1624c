// A malloc without the rest of its set: what it hands out, the C library would free.
#include <cstddef>

extern "C" {
void* __libc_malloc(size_t size);
void* malloc(size_t size) { return __libc_malloc(size); }
}
