// A block's life over two threads, for the test of the flight tool: `flight_load DUMP` prints the block's address, the
// ids of the thread that allocates it and of the one that frees it, and dumps the debug ring to DUMP.
#include <fcntl.h>
#include <hakmem/hakmem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

int main(int, char** argv) {
  void* block = hak_malloc(40);
  void* neighbour = hak_malloc(40);
  long freeing = 0;
  std::thread([&] {
    hak_free(hak_malloc(1000));
    hak_free(block);
    freeing = syscall(SYS_gettid);
  }).join();
  // The owner finds what was freed when it reads its inbox.
  hak_free(neighbour);
  hak_trim(0);
  hak_free(hak_malloc(3 << 20));
  const int fd = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY, 0600);
  const int done = hak_ring_dump(fd);
  close(fd);
  printf("%p %ld %ld\n", block, syscall(SYS_gettid), freeing);
  return done == 1 ? 0 : 1;
}
