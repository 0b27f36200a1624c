// What an operation of a stream does to the block of its slot, and the blocks that are alive while a stream is gone
// through.
#ifndef TESTING_RECORDING_OPS_H_
#define TESTING_RECORDING_OPS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "testing/op_stream/op_stream.h"

namespace hakmem::recording {

using op_stream::Op;
using op_stream::OpKind;
using op_stream::Stream;

inline bool HasSlot(OpKind kind) { return op_stream::RowOf(kind).operands[0] == op_stream::OperandType::kSlot; }
inline bool Resizes(OpKind kind) { return kind == OpKind::kRealloc || kind == OpKind::kReallocarray; }
inline bool Aligns(OpKind kind) {
  return kind == OpKind::kAlignedAlloc || kind == OpKind::kPosixMemalign || kind == OpKind::kMemalign;
}
// Into an empty slot; realloc does so too.
inline bool Makes(OpKind kind) {
  return kind == OpKind::kMalloc || kind == OpKind::kCalloc || Resizes(kind) || Aligns(kind);
}

// Bytes that a making operation asks for.
inline uint64_t AskedBytes(const Op& op) {
  const bool counts = op.kind == OpKind::kCalloc || op.kind == OpKind::kReallocarray;
  return counts ? op.operands[1] * op.operands[2] : op.operands[1];
}

// As plan.h counts them.
inline uint64_t CountedBytes(const Op& op) {
  return Aligns(op.kind) ? std::max(op.operands[1], uint64_t{1} << op.operands[2]) : AskedBytes(op);
}

// Of `op` on a slot that is full or not: the block is gone afterwards.
inline bool Frees(const Op& op, bool full) {
  return op.kind == OpKind::kFree || op.kind == OpKind::kFreeSized || (full && Resizes(op.kind) && AskedBytes(op) == 0);
}

struct LiveBlock {
  bool full = false;
  uint64_t size = 0;
  uint64_t alignment_log2 = 0;
  OpKind made_by = OpKind::kMalloc;

  uint64_t counted() const { return alignment_log2 == 0 ? size : std::max(size, uint64_t{1} << alignment_log2); }
};

// Of streams whose operations all make sense (see Clean in edit.h).
class LiveBlocks {
 public:
  LiveBlock& At(uint32_t thread, uint64_t slot) {
    if (thread >= slots_.size()) slots_.resize(thread + 1);
    if (slot >= slots_[thread].size()) slots_[thread].resize(slot + 1);
    return slots_[thread][slot];
  }
  LiveBlock& At(const Op& op) { return At(op.thread, op.operands[0]); }

  void Apply(const Op& op) {
    if (op.kind == OpKind::kHand) {
      const LiveBlock moved = At(op);
      At(op) = {};
      At(static_cast<uint32_t>(op.operands[1]), op.operands[2]) = moved;
    } else if (Makes(op.kind) || Frees(op, true)) {
      LiveBlock& block = At(op);
      Count(block, false);
      block = Frees(op, block.full) ? LiveBlock{} : LiveBlock{true, AskedBytes(op), 0, op.kind};
      if (Aligns(op.kind)) block.alignment_log2 = op.operands[2];
      Count(block, true);
    }
  }

  uint64_t bytes() const { return bytes_; }
  uint64_t blocks() const { return blocks_; }
  // One vector of slots a thread; threads and slots that were never named are missing.
  const std::vector<std::vector<LiveBlock>>& slots() const { return slots_; }

 private:
  void Count(const LiveBlock& block, bool comes) {
    if (!block.full) return;
    bytes_ += comes ? block.counted() : -block.counted();
    blocks_ += comes ? 1 : uint64_t{0} - 1;
  }

  std::vector<std::vector<LiveBlock>> slots_;
  uint64_t bytes_ = 0;
  uint64_t blocks_ = 0;
};

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_OPS_H_
