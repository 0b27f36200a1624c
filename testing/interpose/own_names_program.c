// Whoever replaces realloc and valloc has the calls of reallocarray and pvalloc as well. So valgrind, which does not
// know these two: a block that came from there was none of its own when it was freed.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "testing/interpose/served.h"

static int g_reallocs = 0;
static int g_vallocs = 0;

void* realloc(void* block, size_t size) {
  void* (*const next)(void*, size_t) = (void* (*)(void*, size_t))dlsym(RTLD_NEXT, "realloc");
  ++g_reallocs;
  return next(block, size);
}

void* valloc(size_t size) {
  void* (*const next)(size_t) = (void* (*)(size_t))dlsym(RTLD_NEXT, "valloc");
  ++g_vallocs;
  return next(size);
}

static int Has(const void* block, size_t size) { return IsServed(block) && hak_usable_size(block) >= size; }

int main(void) {
  g_reallocs = 0;
  g_vallocs = 0;
  void* block = reallocarray(NULL, 10, 10);
  if (!Has(block, 100)) return 1;
  block = reallocarray(block, 300, 10);
  if (!Has(block, 3000)) return 1;
  void* const pages = pvalloc(5000);
  if (!Has(pages, 8192) || (uintptr_t)pages % 4096 != 0) return 1;
  if (g_reallocs != 2 || g_vallocs != 1) {
    fprintf(stderr, "realloc saw %d of 2 calls, valloc %d of 1\n", g_reallocs, g_vallocs);
    return 1;
  }
  // What is refused stays as it was.
  errno = 0;
  if (reallocarray(block, SIZE_MAX / 2, 3) != NULL || errno != ENOMEM || !Has(block, 3000)) return 1;
  errno = 0;
  if (pvalloc(SIZE_MAX - 100) != NULL || errno != ENOMEM) return 1;
  errno = 0;
  if (pvalloc(SIZE_MAX) != NULL || errno != ENOMEM) return 1;
  free(block);
  free(pages);
  return 0;
}
