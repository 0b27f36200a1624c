#include "bench/harness/block.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "bench/harness/flags.h"

namespace hakmem::bench {

// Both leave without running destructors: the heap is not to be trusted, or is empty, and other threads still use it.
void ReportDamage(const void* block, size_t size, size_t offset, uint64_t expected, uint64_t found) {
  char text[256];
  const int length =
      std::snprintf(text, sizeof(text),
                    "damaged block %p of %zu bytes: at offset %zu stands 0x%" PRIx64 " instead of 0x%" PRIx64 "\n",
                    block, size, offset, found, expected);
  if (write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) _exit(kExitDamaged);
  _exit(kExitDamaged);
}

void ReportNoMemory(size_t size) {
  char text[128];
  const int length = std::snprintf(text, sizeof(text), "no memory: a block of %zu bytes was refused\n", size);
  if (write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) _exit(kExitNoMemory);
  _exit(kExitNoMemory);
}

}  // namespace hakmem::bench
