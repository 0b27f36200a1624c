// Misuses memory in the way that its argument names, and then looks whether the heap came through.
//
// Prints "pointer 0x…" before the misuse, and "went on" when all is well afterwards.

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <set>
#include <thread>
#include <vector>

#include <hakmem/hakmem.h>

namespace {

constexpr size_t kMiB = size_t{1} << 20;
int g_in_data[16];

template <class T>
void Announce(T* p) {
  printf("pointer 0x%llx\n", static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(p)));
  fflush(stdout);
}

void Free(void* p) {
  Announce(p);
  errno = 4711;
  hak_free(p);
  if (errno != 4711) printf("errno was changed\n");
}

void* At(uintptr_t address) { return reinterpret_cast<void*>(address); }
char* Make(size_t size) { return static_cast<char*>(hak_malloc(size)); }

// No block is handed out twice, and each keeps its contents.
bool IsHeapGood() {
  std::set<void*> live;
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (int round = 0; round < 2; ++round) {
    for (size_t size : {size_t{24}, size_t{64}, size_t{100}, size_t{1000}, size_t{100'000}, 3 * kMiB}) {
      for (size_t i = 0; i < 400 && i * size < 8 * kMiB; ++i) {
        auto* p = static_cast<unsigned char*>(hak_malloc(size));
        if (p == nullptr || !live.insert(p).second) return false;
        memset(p, static_cast<int>(blocks.size()), size);
        blocks.emplace_back(p, size);
      }
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      auto [p, size] = blocks[i];
      if (p[0] != static_cast<unsigned char>(i) || p[size - 1] != static_cast<unsigned char>(i)) return false;
    }
    for (auto [p, size] : blocks) hak_free(p);
    blocks.clear();
    live.clear();
    hak_trim(0);
  }
  return true;
}

// No mistake.
void Nothing() {
  for (size_t size = 1; size < 4 * kMiB; size += size / 2 + 1) {
    for (int i = 0; i < 3; ++i) hak_free(Make(size));
  }
}

// Foreign pointers.

void FreeOfStack() {
  alignas(16) char on_stack[64] = {};
  Free(on_stack + 16);
}
void FreeOfData() { Free(g_in_data); }
void FreeOfCode() { Free(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(&FreeOfData))); }
void FreeOfNullPage() { Free(At(8)); }
void FreeOfNonCanonical() { Free(At(0x8000000000001000)); }
// Where the bound check of a process without a window ends.
void FreeOfNonCanonicalFar() { Free(At(0x8001000000001000)); }
void FreeOfLastByte() { Free(At(~uintptr_t{0})); }
void FreeOfMisaligned() { Free(reinterpret_cast<char*>(g_in_data) + 3); }
void FreeOfMapping() { Free(mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }
// Nothing behind the pointer is read: a mapping that nobody may read is no danger.
void FreeOfUnreadable() {
  Free(static_cast<char*>(mmap(nullptr, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) + 4096);
}
void FreeOfUnmappedNeighbour() { Free(Make(64) + 512 * kMiB); }
void FreeOfOtherMalloc() {
  static void* const reachable = malloc(100);
  Free(reachable);
}
void ReallocOfStack() {
  alignas(16) char on_stack[64] = {};
  char* p = on_stack;
  Announce(p);
  errno = 0;
  if (hak_realloc(p, 100) != nullptr || errno != ENOMEM) printf("realloc did not fail\n");
}
void FreeSizedOfData() {
  Announce(g_in_data);
  hak_free_sized(g_in_data, sizeof g_in_data);
}

// Interior pointers.

// What the hit path takes for a block of its own is found when its list goes back to the slab.
void FreeOfInterior() {
  Free(Make(64) + 16);
  hak_trim(0);
}
void FreeOfInteriorMisaligned() {
  Free(Make(64) + 8);
  hak_trim(0);
}
void FreeOfInteriorInOtherThread() {
  char* p = Make(1000);
  std::thread([p] { Free(p + 160); }).join();
}
void FreeOfInteriorOfLarge() { Free(Make(100'000) + 4096); }
void FreeOfInteriorOfHuge() { Free(Make(3 * kMiB) + 4096); }
void FreeOfInteriorOfHugeSecondPiece() { Free(Make(5 * kMiB) + 2 * kMiB); }
void ReallocOfInterior() {
  char* p = Make(64) + 16;
  Announce(p);
  if (hak_realloc(p, 5000) != nullptr) printf("realloc did not fail\n");
}

// Double frees.

void DoubleFreeInARow() {
  char* p = Make(64);
  hak_free(p);
  Free(p);
}
void DoubleFreeInARowOfListedLarge() {
  char* p = Make(5000);
  hak_free(p);
  Free(p);
}
void DoubleFreeOfLarge() {
  char* p = Make(300'000);
  hak_free(p);
  Free(p);
}
// The slab, home but for its purged block, is kept: more blocks come back than were out.
void DoubleFreeOfLargeAfterTrim() {
  hak_trim(0);
  char* blocks[3];
  for (char*& block : blocks) block = Make(40'960);
  hak_free(blocks[1]);
  hak_trim(0);
  hak_free(blocks[0]);
  hak_free(blocks[2]);
  Free(blocks[0]);
}
void ReallocOfLargeAfterFree() {
  char* p = Make(300'000);
  hak_free(p);
  Announce(p);
  if (hak_realloc(p, 290'000) != nullptr) printf("realloc did not fail\n");
}
void DoubleFreeOfHuge() {
  char* p = Make(9 * kMiB);
  hak_free(p);
  Free(p);
}
void DoubleFreeOfShortHuge() {
  char* p = Make(3 * kMiB);
  hak_free(p);
  Free(p);
}
void DoubleFreeLater() {
  char* p = Make(64);
  char* q = Make(64);
  hak_free(p);
  hak_free(q);
  Free(p);
}
// Without a bit for each block it is found when the thread's lists go back to their slabs.
void DoubleFreeThenTrim() {
  DoubleFreeLater();
  hak_trim(0);
}
void DoubleFreeByTwoThreads() {
  char* p = Make(64);
  std::thread([p] { hak_free(p); }).join();
  Free(p);
}
void ReallocAfterFree() {
  char* p = Make(64);
  hak_free(p);
  Announce(p);
  if (hak_realloc(p, 5000) != nullptr) printf("realloc did not fail\n");
}
// The slab is not in use any more, but its superslab is: some blocks in each of them stay.
void FreeAfterSlabIsGone() {
  std::vector<char*> blocks;
  for (int i = 0; i < 20'000; ++i) blocks.push_back(Make(640));
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 1600 >= 110) hak_free(blocks[i]);
  }
  hak_trim(0);
  Free(blocks[10'000]);
}
void FreeAfterSuperslabIsGone() {
  std::vector<char*> blocks;
  for (int i = 0; i < 20'000; ++i) blocks.push_back(Make(640));
  for (char* p : blocks) hak_free(p);
  hak_trim(0);
  Free(blocks[10'000]);
}

// Sizes.

void FreeWithLargerSize() {
  char* p = Make(100);
  Announce(p);
  hak_free_sized(p, 500);
}
void FreeWithMuchSmallerSize() {
  char* p = Make(1000);
  Announce(p);
  hak_free_sized(p, 24);
}
void FreeSizedOfInterior() {
  hak_free(Make(3000));  // the list is in use from here on
  char* p = Make(3000);
  Announce(p + 16);
  hak_free_sized(p + 16, 3000);
}
void FreeOfHugeWithLargerSize() {
  char* p = Make(3 * kMiB);
  Announce(p);
  hak_free_sized(p, 4 * kMiB);
}
void FreeOfHugeWithSmallSize() {
  char* p = Make(3 * kMiB);
  Announce(p);
  hak_free_sized(p, 100);
}
void FreeWithOtherAlignment() {
  char* p = Make(48);
  while ((reinterpret_cast<uintptr_t>(p) & 4095) == 0) p = Make(48);
  Announce(p);
  hak_free_aligned_sized(p, 4096, 48);
}

struct Case {
  const char* name;
  void (*run)();
};
#define CASE(name) {#name, name}
constexpr Case kCases[] = {
    CASE(Nothing),
    CASE(FreeOfStack),
    CASE(FreeOfData),
    CASE(FreeOfCode),
    CASE(FreeOfNullPage),
    CASE(FreeOfNonCanonical),
    CASE(FreeOfNonCanonicalFar),
    CASE(FreeOfLastByte),
    CASE(FreeOfMisaligned),
    CASE(FreeOfMapping),
    CASE(FreeOfUnreadable),
    CASE(FreeOfUnmappedNeighbour),
    CASE(FreeOfOtherMalloc),
    CASE(ReallocOfStack),
    CASE(FreeSizedOfData),
    CASE(FreeOfInterior),
    CASE(FreeOfInteriorMisaligned),
    CASE(FreeOfInteriorInOtherThread),
    CASE(FreeOfInteriorOfLarge),
    CASE(FreeOfInteriorOfHuge),
    CASE(FreeOfInteriorOfHugeSecondPiece),
    CASE(ReallocOfInterior),
    CASE(DoubleFreeInARow),
    CASE(DoubleFreeInARowOfListedLarge),
    CASE(DoubleFreeOfLarge),
    CASE(DoubleFreeOfLargeAfterTrim),
    CASE(ReallocOfLargeAfterFree),
    CASE(DoubleFreeOfHuge),
    CASE(DoubleFreeOfShortHuge),
    CASE(DoubleFreeLater),
    CASE(DoubleFreeThenTrim),
    CASE(DoubleFreeByTwoThreads),
    CASE(ReallocAfterFree),
    CASE(FreeAfterSlabIsGone),
    CASE(FreeAfterSuperslabIsGone),
    CASE(FreeWithLargerSize),
    CASE(FreeWithMuchSmallerSize),
    CASE(FreeSizedOfInterior),
    CASE(FreeOfHugeWithLargerSize),
    CASE(FreeOfHugeWithSmallSize),
    CASE(FreeWithOtherAlignment),
};

}  // namespace

int main(int argc, char** argv) {
  // The misuses abort by the dozen.
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  // The heap is in use.
  std::vector<char*> blocks;
  for (size_t size = 1; size < 3000; size += 7) blocks.push_back(Make(size));
  for (const Case& one : kCases) {
    if (argc != 2 || strcmp(argv[1], one.name) != 0) continue;
    one.run();
    if (!IsHeapGood()) {
      printf("the heap is damaged\n");
      return 1;
    }
    printf("went on\n");
    return 0;
  }
  fprintf(stderr, "usage: misuse_program CASE\n");
  return 2;
}
