// A malloc and a version, but no way to ask for a block.
#include <cstddef>

extern "C" {
void* __libc_malloc(size_t size);
const char* hak_version() { return "hakmem half"; }
void* malloc(size_t size) { return __libc_malloc(size); }
}
