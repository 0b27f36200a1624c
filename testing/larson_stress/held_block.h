// A block of hakmem's as the stress holds it: filled with a pattern of its own, which is looked at before the block is
// given back. Memory that hakmem hands out twice, or writes to while it is out, breaks a pattern.
#ifndef HAKMEM_TESTING_LARSON_STRESS_HELD_BLOCK_H_
#define HAKMEM_TESTING_LARSON_STRESS_HELD_BLOCK_H_

#include <cstddef>
#include <cstdint>

namespace hakmem::stress {

struct HeldBlock {
  unsigned char* start = nullptr;
  size_t size = 0;
  uint64_t stamp = 0;  // no two blocks of a run have the same
};

enum class HowToAllocate { kMalloc, kCalloc };

// A block of `size` bytes with the pattern of `stamp` in it. Ends the program without memory, or when a block of calloc
// does not read as zero.
HeldBlock Allocate(size_t size, uint64_t stamp, HowToAllocate how);

// Resizes the block, and checks before and after.
void Resize(HeldBlock* block, size_t size);

// Checks the block and gives it back.
void CheckAndFree(const HeldBlock& block);

}  // namespace hakmem::stress

#endif  // HAKMEM_TESTING_LARSON_STRESS_HELD_BLOCK_H_
