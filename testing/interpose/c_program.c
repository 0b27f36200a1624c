// A C program, without the C++ library: no reference of hakmem's may need it. Prints "served" and the version.

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

// operator new, which has to throw when memory is out, and has nothing to throw with here.
extern void* _Znwm(size_t size) __attribute__((weak));

static const char* TestNewWithoutMemory(size_t too_much) {
  int ends[2];
  if (_Znwm == NULL || pipe(ends) != 0) return "operator new is missing";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    _Znwm(too_much);
    _exit(0);
  }
  close(ends[1]);
  char text[4096];
  size_t length = 0;
  for (ssize_t n; (n = read(ends[0], text + length, sizeof text - 1 - length)) > 0;) length += (size_t)n;
  close(ends[0]);
  text[length] = 0;
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) return "operator new without memory did not abort";
  if (strstr(text, "out of memory, and no C++ library to throw std::bad_alloc\n") == NULL) return "and did not say why";
  return NULL;
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
  if (fault == NULL && !HasCppLibrary()) fault = TestNewWithoutMemory(too_much);
  if (fault != NULL) {
    fprintf(stderr, "%s\n", fault);
    return 1;
  }
  printf("served by %s\n", hak_version());
  return 0;
}
