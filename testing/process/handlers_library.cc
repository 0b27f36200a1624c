// A library whose constructor runs before any other (see BUILD.bazel), and registers fork handlers that allocate.
// Handlers that prepare run last registered first: this one after hakmem's, which holds all its locks by then.

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

namespace {

int g_calls = 0;
void* g_kept[3];

// Enough for blocks that are not at hand: slabs and mappings have to be found.
void Allocate() {
  for (size_t size = 1; size < 6'000'000; size += size / 4 + 1) {
    void* volatile block = malloc(size);
    if (block == nullptr) abort();
    memset(block, 1, size);
    free(block);
  }
  free(g_kept[g_calls % 3]);
  g_kept[g_calls % 3] = malloc(static_cast<size_t>(g_calls) * 1000 + 100);
  ++g_calls;
}

__attribute__((constructor)) void Register() { pthread_atfork(Allocate, Allocate, Allocate); }

}  // namespace

extern "C" __attribute__((visibility("default"))) int HandlerCalls() { return g_calls; }
