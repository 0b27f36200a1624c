// Opens a library, with RTLD_DEEPBIND or plainly, and crosses the border between its malloc and the program's.
//
// usage: deepbind_program LIBRARY deep|plain

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/interpose/served.h"

namespace {

template <class Function>
Function* Look(void* library, const char* name) {
  void* found = dlsym(library, name);
  if (found == nullptr) {
    fprintf(stderr, "%s is missing\n", name);
    exit(2);
  }
  return reinterpret_cast<Function*>(found);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const bool deep = strcmp(argv[2], "deep") == 0;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | (deep ? RTLD_DEEPBIND : 0));
  if (library == nullptr) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  auto* make = Look<char*(size_t)>(library, "MakeBlock");
  auto* drop = Look<void(char*)>(library, "DropBlock");
  auto* work = Look<long(int)>(library, "WorkWithin");
  if (work(20'000) != 20'000L * 'b') {
    fprintf(stderr, "the library's own blocks lost their contents\n");
    return 1;
  }
  char* theirs = make(100);
  printf("library's block is %s\n", IsServed(theirs) ? "hakmem's" : "the C library's");
  // The program frees what the library made. (The other way round, free of the C library gets a block that it does not
  // know, and ends the process: nothing that a malloc could prevent.)
  free(theirs);
  if (!deep) drop(static_cast<char*>(malloc(100)));
  char* mine = strdup("mine");
  printf("program's block is %s\n", IsServed(mine) ? "hakmem's" : "the C library's");
  free(mine);
  if (work(1000) != 1000L * 'b') return 1;
  dlclose(library);
  printf("went on\n");
  return 0;
}
