// A library that a program opens with RTLD_DEEPBIND: its malloc and free are then those of the C library that it
// depends on, not hakmem's.

#include <stdlib.h>
#include <string.h>

extern "C" {

__attribute__((visibility("default"))) char* MakeBlock(size_t size) {
  char* block = static_cast<char*>(malloc(size));
  if (block != nullptr) memset(block, 'b', size);
  return block;
}

__attribute__((visibility("default"))) void DropBlock(char* block) { free(block); }

// Allocates and frees within the library; the sum of what it wrote.
__attribute__((visibility("default"))) long WorkWithin(int rounds) {
  long sum = 0;
  for (int i = 0; i < rounds; ++i) {
    const size_t size = static_cast<size_t>(i % 5000 + 1);
    char* block = MakeBlock(size);
    block = static_cast<char*>(realloc(block, size + 100));
    sum += block[size - 1];
    free(block);
  }
  return sum;
}

}  // extern "C"
