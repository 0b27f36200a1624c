// Prints, for statistics_test.py, what hakmem says of itself before, while and after this program holds blocks:
// sections that begin with a line "== NAME".

#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <thread>
#include <vector>

#include <hakmem/hakmem.h>

#include "hakmem/api/statistics.h"

namespace {

constexpr size_t kSmall = 1000;
constexpr size_t kSmallCount = 100'000;
constexpr size_t kHuge = size_t{20} << 20;

void Section(const char* name) {
  printf("== %s\n", name);
  fflush(stdout);
}

void Print(const char* moment) {
  char name[64];
  snprintf(name, sizeof name, "json %s", moment);
  Section(name);
  hak_stats_print(STDOUT_FILENO, 1);
  snprintf(name, sizeof name, "text %s", moment);
  Section(name);
  hak_stats_print(STDOUT_FILENO, 0);
  snprintf(name, sizeof name, "xml %s", moment);
  Section(name);
  if (hakmem::MallocInfoXml(0, stdout) != 0) printf("malloc_info failed\n");
  snprintf(name, sizeof name, "mallinfo2 %s", moment);
  Section(name);
  const struct mallinfo2 info = hakmem::MallocInfo2();
  printf("arena %zu\nhblks %zu\nhblkhd %zu\nuordblks %zu\nfordblks %zu\nkeepcost %zu\n", info.arena, info.hblks,
         info.hblkhd, info.uordblks, info.fordblks, info.keepcost);
}

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IOLBF, 4096);
  hak_free(hak_malloc(1));
  Print("before");
  std::vector<void*> blocks;
  for (size_t i = 0; i < kSmallCount; ++i) {
    blocks.push_back(hak_malloc(kSmall));
    memset(blocks.back(), 1, kSmall);
  }
  void* huge = hak_malloc(kHuge);
  memset(huge, 1, kHuge);
  // Remote frees: this thread has to own the slabs, and of a full one that is who first frees a block of it.
  for (size_t i = 0; i < kSmallCount; i += 16) {
    hak_free(blocks[i]);
    blocks[i] = nullptr;
  }
  for (size_t i = 0; i < 20'000; ++i) hak_free(hak_malloc(16));  // a guard build's queue lets them go
  for (size_t i = 0; i < kSmallCount; i += 16) blocks[i] = hak_malloc(kSmall);
  std::thread([&] {
    for (size_t i = 0; i < kSmallCount / 2; ++i) hak_free(blocks[i]);
  }).join();
  blocks.erase(blocks.begin(), blocks.begin() + kSmallCount / 2);
  Print("while");
  for (void* p : blocks) hak_free(p);
  hak_free(huge);
  hak_trim(0);
  Print("after");
  Section("rejected");
  printf("%d\n", hakmem::MallocInfoXml(1, stdout));
  return 0;
}
