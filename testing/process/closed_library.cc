// A library with a hakmem of its own, which a program closes while a thread that has used it goes on.
#include <hakmem/hakmem.h>
#include <string.h>

extern "C" __attribute__((visibility("default"))) bool Work() {
  void* blocks[100];
  for (size_t i = 0; i < 100; ++i) {
    blocks[i] = hak_malloc(100 * i + 1);
    if (blocks[i] == nullptr) return false;
    memset(blocks[i], 1, 100 * i + 1);
  }
  for (void* block : blocks) hak_free(block);
  return true;
}
