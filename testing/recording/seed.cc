#include <algorithm>

#include "testing/recording/edit.h"
#include "testing/recording/ops.h"

namespace hakmem::recording {

Stream FitSeed(const Stream& stream, size_t from, size_t to, const op_stream::LooseLimits& limits) {
  Stream piece = Cut(stream, from, to, Alive::kLeaveOut);
  std::vector<std::pair<uint64_t, uint32_t>> busy(piece.header.threads);
  for (uint32_t t = 0; t < busy.size(); ++t) busy[t].second = t;
  for (const Op& op : piece.ops) {
    busy[op.thread].first += HasSlot(op.kind) ? 1 : 0;
  }
  std::sort(busy.begin(), busy.end(),
            [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  busy.resize(std::min<size_t>(busy.size(), limits.threads));
  // Thread 0 runs anyhow. What the busiest thread does comes to it when there is room for one only.
  FilterOptions kept;
  for (const auto& [count, thread] : busy) kept.threads.insert(thread);
  const bool has_first = kept.threads.count(0) != 0;
  if (!has_first && busy.size() > 1 && busy.size() == limits.threads) kept.threads.erase(busy.back().second);
  piece = Filter(piece, kept);
  std::vector<uint32_t> number(piece.header.threads);
  uint32_t next = has_first || limits.threads > 1 ? 1 : 0;
  for (uint32_t t = 1; t < number.size(); ++t) {
    if (kept.threads.count(t) != 0) number[t] = next++;
  }
  for (Op& op : piece.ops) {
    op.thread = number[op.thread];
    const auto& types = op_stream::RowOf(op.kind).operands;
    for (size_t k = 0; k < op_stream::kMaxOperands; ++k) {
      if (types[k] == op_stream::OperandType::kThread) op.operands[k] = number[op.operands[k]];
    }
    if (!Makes(op.kind)) continue;
    op.operands[1] = std::min(op.operands[1], limits.max_size);
    const bool counts = op.kind == OpKind::kCalloc || op.kind == OpKind::kReallocarray;
    if (counts) op.operands[2] = std::min(op.operands[2], limits.max_size / std::max<uint64_t>(op.operands[1], 1));
  }
  piece.header.max_live = std::min(piece.header.max_live, limits.max_live);
  piece = Repack(Clean(piece), limits.slots);
  if (piece.ops.size() > limits.ops) piece.ops.resize(limits.ops);
  return piece;
}

}  // namespace hakmem::recording
