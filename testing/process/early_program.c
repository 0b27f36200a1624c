// Calls before hakmem's constructor has run: from .preinit_array, and from a first constructor.
//
// Earlier calls cannot be served: the resolver of an indirect function (ifunc) runs before the library is relocated and
// before thread-local variables have their first values. The same holds for other preloaded allocators.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/interpose/served.h"

static char* g_preinit;
static char* g_constructor;

static char* Make(const char* text) {
  char* block = malloc(5000);
  if (block != NULL) strcpy(block, text);
  free(malloc(3000000));
  free(calloc(100, 100));
  return block;
}

static void Preinit(void) { g_preinit = Make("preinit"); }
__attribute__((used, section(".preinit_array"))) static void (*const g_preinit_entry)(void) = Preinit;

__attribute__((constructor(101))) static void Construct(void) { g_constructor = Make("constructor"); }

static int IsGood(char* block, const char* text) {
  const int good = block != NULL && IsServed(block) && strcmp(block, text) == 0;
  if (!good) fprintf(stderr, "the block of the %s is not as it was\n", text);
  free(block);
  return good;
}

int main(void) {
  const int good = IsGood(g_preinit, "preinit") & IsGood(g_constructor, "constructor");
  if (good) printf("early calls were served\n");
  return good ? 0 : 1;
}
