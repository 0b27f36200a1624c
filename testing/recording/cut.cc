#include <algorithm>

#include "testing/recording/edit.h"
#include "testing/recording/ops.h"

namespace hakmem::recording {

Stream Cut(const Stream& stream, size_t from, size_t to, Alive alive) {
  // Numbers of operations are those of the stream as given: a clean one is numbered otherwise.
  Stream front{stream.header,
               {stream.ops.begin(), stream.ops.begin() + static_cast<ptrdiff_t>(std::min(from, stream.ops.size()))}};
  to = std::min(to, stream.ops.size());
  front = Clean(front);
  LiveBlocks live;
  std::vector<bool> runs(stream.header.threads);
  runs[0] = true;
  for (const Op& op : front.ops) {
    live.Apply(op);
    if (op.kind == OpKind::kStart) runs[op.operands[0]] = true;
    if (op.kind == OpKind::kEnd) runs[op.thread] = false;
  }

  Stream out{stream.header, {}};
  out.header.max_live = op_stream::kMaxLive;
  for (uint32_t t = 0; t < live.slots().size() || t < runs.size(); ++t) {
    const bool holds =
        alive == Alive::kAllocate && t < live.slots().size() &&
        std::any_of(live.slots()[t].begin(), live.slots()[t].end(), [](const LiveBlock& block) { return block.full; });
    if (t != 0 && (runs[t] || holds)) out.ops.push_back({OpKind::kStart, 0, {t}});
    for (uint64_t slot = 0; holds && slot < live.slots()[t].size(); ++slot) {
      const LiveBlock& block = live.slots()[t][slot];
      if (!block.full) continue;
      const OpKind kind = block.alignment_log2 == 0 ? OpKind::kMalloc : OpKind::kMemalign;
      out.ops.push_back({kind, t, {slot, block.size, block.alignment_log2}});
    }
    if (holds && !runs[t]) out.ops.push_back({OpKind::kEnd, t, {}});
  }
  // A realloc of a block that was left out would allocate: it is left out as well, up to the block's free.
  Stream whole = front;
  const size_t piece = whole.ops.size();
  whole.ops.insert(whole.ops.end(), stream.ops.begin() + static_cast<ptrdiff_t>(std::min(from, to)),
                   stream.ops.begin() + static_cast<ptrdiff_t>(to));
  whole = Clean(whole);
  std::vector<std::vector<bool>> unknown(stream.header.threads);
  if (alive == Alive::kLeaveOut) {
    for (uint32_t t = 0; t < live.slots().size(); ++t) {
      for (const LiveBlock& block : live.slots()[t]) unknown[t].push_back(block.full);
    }
  }
  const auto is_unknown = [&unknown](uint32_t thread, uint64_t slot) -> std::vector<bool>::reference {
    if (slot >= unknown[thread].size()) unknown[thread].resize(slot + 1);
    return unknown[thread][slot];
  };
  for (size_t i = piece; i < whole.ops.size(); ++i) {
    const Op& op = whole.ops[i];
    if (HasSlot(op.kind) && is_unknown(op.thread, op.operands[0])) {
      if (Frees(op, true)) is_unknown(op.thread, op.operands[0]) = false;
      if (op.kind == OpKind::kHand) {
        is_unknown(op.thread, op.operands[0]) = false;
        is_unknown(static_cast<uint32_t>(op.operands[1]), op.operands[2]) = true;
      }
      continue;
    }
    out.ops.push_back(op);
  }
  return Repack(Clean(out));
}

}  // namespace hakmem::recording
