// Everything there, but the blocks are the C library's, and hak_owns says so.
#include <cstddef>

extern "C" {
void* __libc_malloc(size_t size);
const char* hak_version() { return "hakmem disowning"; }
int hak_owns(const void*) { return 0; }
void* malloc(size_t size) { return __libc_malloc(size); }
}
