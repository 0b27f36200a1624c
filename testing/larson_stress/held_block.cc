#include "testing/larson_stress/held_block.h"

#include <hakmem/hakmem.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hakmem::stress {
namespace {

unsigned char PatternAt(uint64_t stamp, size_t i) {
  return static_cast<unsigned char>((stamp ^ (i / 8 * 0x9e3779b97f4a7c15u)) >> (i % 8 * 8));
}

uint64_t PatternWord(uint64_t stamp, size_t word) { return stamp ^ (word * 0x9e3779b97f4a7c15u); }

void Fill(const HeldBlock& block) {
  size_t at = 0;
  for (; at + 8 <= block.size; at += 8) {
    const uint64_t word = PatternWord(block.stamp, at / 8);
    memcpy(block.start + at, &word, 8);
  }
  for (; at < block.size; ++at) block.start[at] = PatternAt(block.stamp, at);
}

// One message, one write: several threads may find something at once.
[[noreturn]] void Fail(const HeldBlock& block, size_t at, unsigned expected, const char* when) {
  char line[256];
  const int length =
      snprintf(line, sizeof(line),
               "larson_stress: FAILED: %s, block %p of %zu bytes (stamp %llx): byte %zu is %#x, not %#x: "
               "memory that the program holds has changed\n",
               when, static_cast<void*>(block.start), block.size, static_cast<unsigned long long>(block.stamp), at,
               block.start[at], expected);
  fwrite(line, 1, static_cast<size_t>(length), stderr);
  abort();
}

void Check(const HeldBlock& block, size_t size, const char* when) {
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    uint64_t word;
    memcpy(&word, block.start + at, 8);
    if (word != PatternWord(block.stamp, at / 8)) break;
  }
  for (; at < size; ++at) {
    if (block.start[at] != PatternAt(block.stamp, at)) Fail(block, at, PatternAt(block.stamp, at), when);
  }
}

[[noreturn]] void NoMemory(size_t size) {
  fprintf(stderr, "larson_stress: no memory for %zu bytes\n", size);
  exit(3);
}

}  // namespace

HeldBlock Allocate(size_t size, uint64_t stamp, HowToAllocate how) {
  void* p = how == HowToAllocate::kCalloc ? hak_calloc(1, size) : hak_malloc(size);
  if (p == nullptr) NoMemory(size);
  const HeldBlock block = {static_cast<unsigned char*>(p), size, stamp};
  if (how == HowToAllocate::kCalloc) {
    for (size_t at = 0; at < size; ++at) {
      if (block.start[at] != 0) Fail(block, at, 0, "after calloc");
    }
  }
  Fill(block);
  return block;
}

void Resize(HeldBlock* block, size_t size) {
  Check(*block, block->size, "before realloc");
  void* p = hak_realloc(block->start, size);
  if (p == nullptr) NoMemory(size);
  block->start = static_cast<unsigned char*>(p);
  Check(*block, size < block->size ? size : block->size, "after realloc");
  block->size = size;
  Fill(*block);
}

void CheckAndFree(const HeldBlock& block) {
  Check(block, block.size, "before free");
  hak_free(block.start);
}

}  // namespace hakmem::stress
