// A C program that opens a C++ plug-in. usage: plugin_program LIBRARY

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "testing/interpose/served.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  void* block = malloc(10);
  if (!IsServed(block)) {
    fprintf(stderr, "hakmem does not serve\n");
    return 1;
  }
  free(block);
  if (dlsym(RTLD_DEFAULT, "__cxa_throw") != NULL) {
    fprintf(stderr, "the program has the C++ library already: this would prove nothing\n");
    return 1;
  }
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  const char* (*test)(void) = (const char* (*)(void))dlsym(library, "TestOperators");
  const char* fault = test != NULL ? test() : "TestOperators is missing";
  if (fault != NULL) {
    fprintf(stderr, "%s\n", fault);
    return 1;
  }
  printf("std::bad_alloc and the new-handler of a plug-in\n");
  return 0;
}
