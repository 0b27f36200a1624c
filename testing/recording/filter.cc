#include "testing/recording/edit.h"
#include "testing/recording/ops.h"

namespace hakmem::recording {
namespace {

class Filterer {
 public:
  Filterer(const Stream& from, const FilterOptions& options) : from_(from), options_(options) {}

  Stream Run() {
    Stream out{from_.header, {}};
    for (const Op& op : from_.ops) {
      Add(op, &out.ops);
      before_.Apply(op);
    }
    // A block of a kept thread may be asked for by a thread that is not: bounds only grow by what was there before.
    out.header.max_live = op_stream::kMaxLive;
    return Repack(Clean(out));
  }

 private:
  bool KeepsThread(uint32_t thread) const { return options_.threads.empty() || options_.threads.count(thread) != 0; }
  bool KeepsSize(uint64_t size) const { return size >= options_.least_size && size <= options_.most_size; }
  bool KeepsKind(OpKind kind) const {
    switch (kind) {
      case OpKind::kFree:
      case OpKind::kFreeSized:
      case OpKind::kHand:
      case OpKind::kStart:
      case OpKind::kEnd: return true;
      default: return options_.kinds.empty() || options_.kinds.count(kind) != 0;
    }
  }

  // Whether the block of a slot is alive in the result.
  std::vector<bool>::reference Kept(uint32_t thread, uint64_t slot) {
    if (thread >= kept_.size()) kept_.resize(thread + 1);
    if (slot >= kept_[thread].size()) kept_[thread].resize(slot + 1);
    return kept_[thread][slot];
  }

  void Add(Op op, std::vector<Op>* out) {
    if (op.kind == OpKind::kStart) {
      if (!KeepsThread(static_cast<uint32_t>(op.operands[0]))) return;
      if (!KeepsThread(op.thread)) op.thread = 0;
      out->push_back(op);
      return;
    }
    if (op.kind == OpKind::kHand) {
      Hand(op, out);
      return;
    }
    if (!KeepsThread(op.thread)) return;
    if (Makes(op.kind)) {
      Make(op, out);
      return;
    }
    if (!KeepsKind(op.kind)) return;
    if (HasSlot(op.kind) && op.kind != OpKind::kRefused && !Kept(op.thread, op.operands[0])) return;
    if (Frees(op, false)) Kept(op.thread, op.operands[0]) = false;
    out->push_back(op);
  }

  void Make(Op op, std::vector<Op>* out) {
    auto kept = Kept(op.thread, op.operands[0]);
    const bool full = before_.At(op).full;
    const bool frees = Frees(op, full);
    if (KeepsKind(op.kind) && (frees ? kept : KeepsSize(AskedBytes(op)))) {
      kept = !frees;
      out->push_back(op);
      return;
    }
    // A realloc of another kind than those kept leaves the block as it is.
    if (!kept || (!frees && KeepsSize(AskedBytes(op)))) return;
    kept = false;
    op.kind = OpKind::kFree;
    op.operands = {op.operands[0]};
    out->push_back(op);
  }

  void Hand(Op op, std::vector<Op>* out) {
    const auto thread = static_cast<uint32_t>(op.operands[1]);
    const LiveBlock block = before_.At(op);
    const bool from_here = KeepsThread(op.thread);
    bool kept = Kept(op.thread, op.operands[0]);
    Kept(op.thread, op.operands[0]) = false;
    if (from_here && !KeepsThread(thread)) {
      if (kept) out->push_back({OpKind::kFree, op.thread, {op.operands[0]}});
      return;
    }
    if (!from_here && KeepsThread(thread)) {
      const OpKind kind = block.alignment_log2 == 0 ? OpKind::kMalloc : OpKind::kMemalign;
      kept = KeepsKind(kind) && KeepsSize(block.size);
      if (kept) out->push_back({kind, thread, {op.operands[2], block.size, block.alignment_log2}});
    } else if (kept) {
      out->push_back(op);
    }
    Kept(thread, op.operands[2]) = kept;
  }

  const Stream& from_;
  const FilterOptions& options_;
  LiveBlocks before_;  // of the stream as it was
  std::vector<std::vector<bool>> kept_;
};

}  // namespace

Stream Filter(const Stream& stream, const FilterOptions& options) { return Filterer(Clean(stream), options).Run(); }

}  // namespace hakmem::recording
