// An allocator's table with every answer checked: the part of the executor that knows nothing of streams.
#ifndef TESTING_OP_STREAM_CHECKED_ALLOCATOR_H_
#define TESTING_OP_STREAM_CHECKED_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "testing/op_stream/allocator.h"
#include "testing/op_stream/contents.h"
#include "testing/op_stream/op_stream.h"
#include "testing/op_stream/shadow_map.h"

namespace hakmem::op_stream {

// A block that is alive, or none.
struct Block {
  unsigned char* p = nullptr;
  uint64_t asked = 0;
  uint64_t alignment = 0;  // that was asked for, 0 for none
  bool of_aligned_alloc = false;
  Contents contents;  // its size is the usable size
};

// Thread-safe as the allocator is; a block is used by one thread at a time. An empty string means that all was well.
class CheckedAllocator {
 public:
  CheckedAllocator(const Allocator& allocator, uint64_t may_fail_above)
      : allocator_(allocator), may_fail_above_(may_fail_above) {}

  // What an allocating operation gave beside its block.
  struct Answer {
    std::string failure;
    int error = 0;  // ENOMEM when there was no memory, and that was allowed; the block is then as it was
  };

  // kMalloc, kCalloc, kAlignedAlloc, kPosixMemalign and kMemalign into an empty block. `seed` is for its contents.
  Answer Allocate(const Op& op, uint64_t seed, Block* block);
  // kRealloc and kReallocarray; a size of 0 leaves the block empty.
  Answer Resize(const Op& op, uint64_t seed, Block* block);
  // kFree and kFreeSized.
  std::string Free(bool sized, Block* block);
  std::string CheckUsableSize(const Block& block);
  std::string CheckContents(const Block& block) const;
  void Fill(uint64_t seed, Block* block);
  // `error` gets that of the call that was turned down, if it was one.
  std::string Refuse(Refusal refusal, const Block& block, int* error);

  // In a forked child: checks the block and frees it. Nothing but the allocator under test is called.
  bool CheckAndFreeInChild(const Block& block) const;
  // In a forked child: blocks can still be had, written and freed.
  bool AllocateInChild() const;

  const Allocator& allocator() const { return allocator_; }

 private:
  std::string Accept(void* p, uint64_t asked, uint64_t alignment, bool zeroed, uint64_t seed, Block* block);

  const Allocator& allocator_;
  const uint64_t may_fail_above_;
  ShadowMap shadow_;
};

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_CHECKED_ALLOCATOR_H_
