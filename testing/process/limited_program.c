// Takes blocks until there is no more memory, gives all back, and says how many MiB it had.
//
// usage: limited_program SIZE, in bytes. With a limit that the caller has set: see ulimit.
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct Node {
  struct Node* next;
};

static void* Nothing(void* p) { return p; }

int main(int argc, char** argv) {
  const size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
  if (size < sizeof(struct Node)) return 2;
  struct Node* all = NULL;
  size_t blocks = 0;
  for (struct Node* node; (node = malloc(size)) != NULL; ++blocks) {
    memset(node, 1, size);
    node->next = all;
    all = node;
  }
  while (all != NULL) {
    struct Node* const next = all->next;
    free(all);
    all = next;
  }
  malloc_trim(0);
  // What was given back others can have.
  const size_t half = blocks * size / 2;
  void* const mapping = mmap(NULL, half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    puts("no mapping");
    return 1;
  }
  munmap(mapping, half);
  pthread_t thread;
  if (pthread_create(&thread, NULL, Nothing, NULL) != 0) {
    puts("no thread");
    return 1;
  }
  pthread_join(thread, NULL);
  printf("%zu\n", blocks * size >> 20);
  return 0;
}
