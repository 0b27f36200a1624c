// Blocks with contents that are checked. A load that never looks at its memory would not notice an allocator that hands
// the same memory out twice.
#ifndef HAKMEM_BENCH_HARNESS_BLOCK_H_
#define HAKMEM_BENCH_HARNESS_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace hakmem::bench {

// Ends with kExitDamaged and a message that names the block.
[[noreturn]] void ReportDamage(const void* block, size_t size, size_t offset, uint64_t expected, uint64_t found);

// Ends with kExitNoMemory.
[[noreturn]] void ReportNoMemory(size_t size);

// The word that a block at `block` of `size` bytes carries: neighbours and sizes give different words, so an overlap of
// two blocks shows.
inline uint64_t BlockWord(const void* block, size_t size) {
  return (reinterpret_cast<uintptr_t>(block) ^ (size << 48)) * 0x9E3779B97F4A7C15u;
}

// Marks both ends of a block. Two stores, so that the load stays a load of the allocator and not of memcpy.
inline void StampBlock(void* block, size_t size) {
  const uint64_t word = BlockWord(block, size);
  auto* bytes = static_cast<unsigned char*>(block);
  if (size >= sizeof(word)) {
    std::memcpy(bytes, &word, sizeof(word));
  } else if (size > 0) {
    bytes[0] = static_cast<unsigned char>(word >> 32);
  }
  if (size > sizeof(word)) bytes[size - 1] = static_cast<unsigned char>(word >> 40);
}

// Checks what StampBlock wrote; a difference ends the program.
inline void CheckBlock(const void* block, size_t size) {
  const uint64_t word = BlockWord(block, size);
  const auto* bytes = static_cast<const unsigned char*>(block);
  if (size >= sizeof(word)) {
    uint64_t found;
    std::memcpy(&found, bytes, sizeof(found));
    if (__builtin_expect(found != word, 0)) ReportDamage(block, size, 0, word, found);
  } else if (size > 0 && __builtin_expect(bytes[0] != static_cast<unsigned char>(word >> 32), 0)) {
    ReportDamage(block, size, 0, word >> 32 & 0xFF, bytes[0]);
  }
  if (size > sizeof(word) && __builtin_expect(bytes[size - 1] != static_cast<unsigned char>(word >> 40), 0)) {
    ReportDamage(block, size, size - 1, word >> 40 & 0xFF, bytes[size - 1]);
  }
}

// malloc of a stamped block; no memory ends the program.
inline void* NewBlock(size_t size) {
  void* block = std::malloc(size);
  if (__builtin_expect(block == nullptr, 0)) ReportNoMemory(size);
  StampBlock(block, size);
  return block;
}

// Checks and frees.
inline void DropBlock(void* block, size_t size) {
  CheckBlock(block, size);
  std::free(block);
}

// The same for blocks that travel between threads without their size: it stands in the block. At least 16 bytes.
inline constexpr size_t kLeastSelfSized = 2 * sizeof(uint64_t);

inline void* NewSelfSizedBlock(size_t size) {
  auto* block = static_cast<uint64_t*>(NewBlock(size));
  // The last byte may lie in the second word; then it is overwritten on purpose and not checked.
  block[1] = size;
  return block;
}

inline void DropSelfSizedBlock(void* block) {
  const auto* words = static_cast<const uint64_t*>(block);
  const uint64_t size = words[1];
  if (__builtin_expect(words[0] != BlockWord(block, size), 0)) {
    ReportDamage(block, size, 0, BlockWord(block, size), words[0]);
  }
  if (size > kLeastSelfSized) CheckBlock(block, size);
  std::free(block);
}

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_BLOCK_H_
