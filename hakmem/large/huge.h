// Huge blocks: above half a superslab, or grown by realloc, each in pieces of its own from the page arena.
//
// (Blocks below that, however large, have a size class: the largest are runs of slabs. See superslab/size_classes.h.)
#ifndef HAKMEM_LARGE_HUGE_H_
#define HAKMEM_LARGE_HUGE_H_

#include <cstddef>

#include "hakmem/large/held_word.h"
#include "hakmem/superslab/slab.h"

namespace hakmem::huge {

struct HugeBlock : Region {
  HeldWord held;                 // what else stands here is its taker's
  std::atomic<size_t> size{0};   // usable bytes, whole pages
  std::atomic<size_t> asked{0};  // guard builds: bytes asked for
  size_t pieces = 0;             // superslabs that it fills
  HugeBlock* next_spare = nullptr;
  bool has_room = false;  // from AllocateWithRoom, and not longer than half a superslab since
};

// A block of at least `size` bytes aligned to `alignment`, a power of two. With `zero` it reads as zero. nullptr
// without memory.
[[nodiscard]] void* Allocate(size_t size, size_t alignment, bool zero);

// The same for a block of at most half a superslab that is likely to grow: it can up to a superslab where it is, and
// needs no more memory than it uses. nullptr also when there are many such blocks, or memory is limited: addresses
// count as memory there.
[[nodiscard]] void* AllocateWithRoom(size_t size);

// Whether the program has the block of `region`, and it starts at `p`: a look.
bool IsHeld(const Region* region, const void* p);

// Whether the block has room, so that it need not be copied to become a little shorter than a huge block is.
bool HasRoom(const Region* region);

// Frees the block of `region` when `p` is its start; reports otherwise.
void Free(void* p, Region* region);

// Gives the block that is kept for reuse to the page arena. The arena's keeper.
void ReleaseKept();

// Bytes of the block that is kept, which are idle.
size_t KeptBytes();

// Bytes that may be used at the start of the block of `region`.
size_t UsableSize(const Region* region);

// Makes the block at `p` at least `size` bytes long: in place, by moving its pages, or by copying a short one into huge
// pages.
// nullptr, with the block as it was, when that cannot be done.
[[nodiscard]] void* Resize(void* p, Region* region, size_t size);

struct Statistics {
  uint64_t blocks;     // now
  uint64_t bytes;      // now, usable
  uint64_t allocated;  // since the start
  uint64_t in_place;   // resized in place since the start
  uint64_t moved;      // resized by moving or copying pages since the start
};
Statistics GetStatistics();

Lock& SpareLock();

}  // namespace hakmem::huge

#endif  // HAKMEM_LARGE_HUGE_H_
