// A huge block of several kernel areas that has to move while the process has nearly as many areas as the kernel allows
// (vm.max_map_count): it is resized or not, and keeps its contents.

#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"

namespace hakmem {
namespace {

// Sanitizers make areas of their own, and do not bear that there are none.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));
constexpr size_t kPiece = size_t{2} << 20;
constexpr size_t kPieces = 12;
// So many that a move fails at its beginning with none left, and not at all with the most.
constexpr int kMostLeft = 16;
// Where the kernel allows many more, to fill them takes too long, or more memory than there is. There the block moves
// with all the room that it can want; what happens without is then tested with calls that are made to fail (move_test).
constexpr long kMostAreas = 200'000;

long AreasAllowed() {
  FILE* const file = fopen("/proc/sys/vm/max_map_count", "r");
  if (file == nullptr) return 0;
  long count = 0;
  if (fscanf(file, "%ld", &count) != 1) count = 0;
  fclose(file);
  return count;
}

// Makes as many areas as the kernel allows, but for `left`.
void LeaveAreas(long allowed, int left) {
  const size_t pages = 2 * static_cast<size_t>(allowed);
  char* const all =
      static_cast<char*>(mmap(nullptr, pages * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (all == MAP_FAILED) _exit(3);
  size_t at = 0;
  while (at < pages && mprotect(all + at * kPage, kPage, PROT_READ) == 0) at += 2;
  if (at == pages) _exit(4);
  // Each is an area between two holes.
  for (int i = 0; i < left; ++i) munmap(all + static_cast<size_t>(2 * i) * kPage, kPage);
}

char At(size_t offset) { return static_cast<char>(1 + offset / kPage % 101); }

// In a child: 0 when the block has moved, 1 when it has not, anything else is a fault.
int GrowWithAreasLeft(long allowed, int left) {
  const size_t size = kPieces * kPiece - kPage;
  char* const block = static_cast<char*>(hak_malloc(size));
  if (block == nullptr) return 5;
  for (size_t i = 0; i < kPieces; i += 6) madvise(block + i * kPiece, 3 * kPiece, MADV_NOHUGEPAGE);
  for (size_t at = 0; at < size; at += kPage) block[at] = At(at);
  // It does not grow where it is.
  if (hak_malloc(3 * kPiece) == nullptr) return 6;
  if (allowed <= kMostAreas) LeaveAreas(allowed, left);
  char* const moved = static_cast<char*>(hak_realloc(block, size + kPiece));
  char* const now = moved == nullptr ? block : moved;
  for (size_t at = 0; at < size; at += kPage) {
    if (now[at] != At(at)) return 7;
  }
  if (moved != nullptr) {
    for (size_t at = size; at < size + kPiece; at += kPage) moved[at] = 1;
  }
  return moved == nullptr || moved == block ? 1 : 0;
}

TEST(MapLimit, ABlockThatMovesKeepsItsContents) {
  const long allowed = AreasAllowed();
  ASSERT_GT(allowed, 0);
  int times_moved = 0;
  for (int left = 0; left <= kMostLeft; ++left) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(GrowWithAreasLeft(allowed, left));
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "with " << left << " areas left: signal " << WTERMSIG(status);
    EXPECT_LE(WEXITSTATUS(status), 1) << "with " << left << " areas left";
    times_moved += WEXITSTATUS(status) == 0 ? 1 : 0;
  }
  EXPECT_GT(times_moved, 0);
  if (allowed > kMostAreas) {
    EXPECT_EQ(times_moved, kMostLeft + 1);
  }
}

#endif

}  // namespace
}  // namespace hakmem
