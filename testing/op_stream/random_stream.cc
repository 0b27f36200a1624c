#include "testing/op_stream/random_stream.h"

#include <algorithm>
#include <vector>

namespace hakmem::op_stream {
namespace {

class Maker {
 public:
  explicit Maker(const RandomStreamOptions& options)
      : options_(options), random_(options.seed), full_(options.header.threads), running_(options.header.threads) {
    for (std::vector<bool>& slots : full_) slots.resize(options.header.slots);
    running_[0] = true;
  }

  Stream Make() {
    Stream stream{options_.header, {}};
    // Each stream leans towards a few of the things that can happen.
    favourite_size_ = random_.Below(options_.header.max_size / 64 + 1) + 1;
    exchange_ = 4 + random_.Below(40);
    if (options_.exchange != 0) exchange_ = options_.exchange;
    while (stream.ops.size() < options_.ops) {
      if (random_.OneIn(options_.ops / 8 + 1)) swelling_ = !swelling_;
      Op op = MakeOp();
      for (size_t i = 0; i < kMaxOperands; ++i) {
        op.operands[i] = std::min(op.operands[i], OperandLimit(options_.header, op, i));
      }
      stream.ops.push_back(op);
    }
    return stream;
  }

 private:
  uint32_t AnyThread() { return static_cast<uint32_t>(random_.Below(options_.header.threads)); }
  uint32_t AnySlot() { return static_cast<uint32_t>(random_.Below(options_.header.slots)); }

  uint64_t AnySize() {
    const uint64_t kind = random_.Below(1000);
    if (kind < 300) return random_.Below(65);
    if (kind < 450) return favourite_size_;
    if (kind < 850) return random_.Below(1025);
    if (kind < 950) return random_.Below(32 << 10);
    if (kind < 985) return random_.Below(512 << 10);
    return random_.Below(options_.header.max_size + 1);
  }

  Op MakeOp() {
    const uint32_t threads = options_.header.threads;
    Op op;
    op.thread = AnyThread();
    if (!running_[op.thread]) {
      // Whoever runs starts it.
      const uint32_t other = op.thread;
      running_[other] = true;
      do {
        op.thread = AnyThread();
      } while (!running_[op.thread] || op.thread == other);
      op.kind = OpKind::kStart;
      op.operands[0] = other;
      return op;
    }
    if (random_.OneIn(options_.rare)) return MakeRareOp(op);
    op.operands[0] = AnySlot();
    std::vector<bool>& mine = full_[op.thread];
    if (mine[op.operands[0]] && threads > 1 && random_.OneIn(exchange_)) {
      op.kind = OpKind::kHand;
      op.operands[1] = AnyThread();
      op.operands[2] = AnySlot();
      if (full_[op.operands[1]][op.operands[2]]) op.operands[2] = AnySlot();
      if (!full_[op.operands[1]][op.operands[2]]) {
        full_[op.operands[1]][op.operands[2]] = true;
        mine[op.operands[0]] = false;
      }
      return op;
    }
    return mine[op.operands[0]] ? MakeUse(op) : MakeAllocation(op);
  }

  Op MakeRareOp(Op op) {
    switch (random_.Below(8)) {
      case 0:
      case 1:
        if (op.thread == 0) break;
        op.kind = OpKind::kEnd;
        running_[op.thread] = false;
        return op;
      case 2: op.kind = OpKind::kBarrier; return op;
      case 3:
        op.kind = OpKind::kTrim;
        op.operands[0] = random_.OneIn(2) ? 0 : random_.Below(uint64_t{16} << 20);
        return op;
      case 4:
        if (forks_ == options_.forks) break;
        ++forks_;
        op.kind = OpKind::kFork;
        return op;
      default: break;
    }
    op.kind = OpKind::kRefused;
    op.operands[0] = AnySlot();
    op.operands[1] = random_.Below(kRefusals);
    return op;
  }

  Op MakeUse(Op op) {
    const uint64_t kind = random_.Below(swelling_ ? 200 : 100);
    if (kind < 50) {
      op.kind = random_.OneIn(4) ? OpKind::kFreeSized : OpKind::kFree;
      full_[op.thread][op.operands[0]] = false;
    } else if (kind < 75) {
      op.kind = random_.OneIn(4) ? OpKind::kReallocarray : OpKind::kRealloc;
      op.operands[1] = AnySize();
      op.operands[2] = 1 + random_.Below(3);
      if (op.kind == OpKind::kRealloc) op.operands[2] = 0;
      if (op.operands[1] == 0) full_[op.thread][op.operands[0]] = false;
    } else if (kind < 85) {
      op.kind = OpKind::kFill;
      op.operands[1] = random_.Below(256);
    } else if (kind < 95) {
      op.kind = OpKind::kUsableSize;
    } else {
      op.kind = OpKind::kCheck;
    }
    return op;
  }

  Op MakeAllocation(Op op) {
    op.operands[1] = AnySize();
    full_[op.thread][op.operands[0]] = true;
    const uint64_t kind = random_.Below(100);
    if (kind < 60) {
      op.kind = OpKind::kMalloc;
    } else if (kind < 75) {
      op.kind = OpKind::kCalloc;
      op.operands[2] = 1 + random_.Below(3);
      op.operands[1] /= op.operands[2];
    } else if (kind < 85) {
      op.kind = OpKind::kRealloc;
    } else {
      constexpr OpKind kAligned[] = {OpKind::kAlignedAlloc, OpKind::kPosixMemalign, OpKind::kMemalign};
      op.kind = kAligned[random_.Below(3)];
      op.operands[2] = random_.OneIn(10) ? random_.Below(kMaxAlignmentLog2 + 1) : random_.Below(13);
    }
    return op;
  }

  const RandomStreamOptions options_;
  SeededRandom random_;
  std::vector<std::vector<bool>> full_;
  std::vector<bool> running_;
  uint64_t favourite_size_ = 1;
  uint64_t exchange_ = 10;
  bool swelling_ = true;
  uint32_t forks_ = 0;
};

}  // namespace

Stream MakeRandomStream(const RandomStreamOptions& options) { return Maker(options).Make(); }

}  // namespace hakmem::op_stream
