// A free block as hakmem sees it: its first word links it to the next free block of the same list.
#ifndef HAKMEM_SUPERSLAB_BLOCK_H_
#define HAKMEM_SUPERSLAB_BLOCK_H_

#include <cstdint>

#include "hakmem/platform/compiler.h"

namespace hakmem {

struct Block {
  Block* next;
};

// The link words lie in memory that the address sanitizer holds for poisoned while the block is free.
HAK_NO_ASAN inline Block* NextOf(const Block* block) { return block->next; }
HAK_NO_ASAN inline void SetNext(Block* block, Block* next) { block->next = next; }

// A list of free blocks of one slab with its length; `last` is kept where chains are joined.
struct Chain {
  Block* first = nullptr;
  Block* last = nullptr;
  uint32_t count = 0;

  void PushFront(Block* block) {
    SetNext(block, first);
    first = block;
    if (last == nullptr) last = block;
    ++count;
  }
};

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_BLOCK_H_
