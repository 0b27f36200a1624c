// A C program, without the C++ library: no reference of hakmem's may need it. Prints "served" and the version.

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/interpose/served.h"

static void* Work(void* unused) {
  for (size_t size = 1; size < 4000000; size += size / 2 + 1) {
    char* block = malloc(size);
    if (!IsServed(block)) return (void*)"malloc gave a block of another allocator";
    memset(block, 1, size);
    block = realloc(block, size * 2);
    if (!IsServed(block) || block[size - 1] != 1) return (void*)"realloc lost a byte";
    free(block);
  }
  return unused;
}

static int HasCppLibrary(void) {
  char line[4096];
  FILE* maps = fopen("/proc/self/maps", "r");
  int found = 0;
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) found |= strstr(line, "libstdc++") != NULL;
  if (maps != NULL) fclose(maps);
  return found;
}

int main(int argc, char** argv) {
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, Work, NULL);
  const char* fault = Work(NULL);
  for (int i = 0; i < 4; ++i) {
    void* result;
    pthread_join(threads[i], &result);
    if (result != NULL) fault = result;
  }
  volatile size_t too_much = SIZE_MAX / 2 + 1;
  void* none = malloc(too_much);
  if (none != NULL || errno != ENOMEM) fault = "malloc of too much did not fail with ENOMEM";
  if (argc > 1 && strcmp(argv[1], "--no-cpp") == 0 && HasCppLibrary()) fault = "the C++ library was loaded";
  if (fault != NULL) {
    fprintf(stderr, "%s\n", fault);
    return 1;
  }
  printf("served by %s\n", hak_version());
  return 0;
}
