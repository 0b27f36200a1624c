#include <algorithm>

#include "testing/recording/edit.h"
#include "testing/recording/ops.h"

namespace hakmem::recording {
namespace {

constexpr uint64_t kMillion = 1'000'000;

}  // namespace

Stream Merge(const std::vector<Stream>& streams, std::string* error) {
  Stream out;
  std::vector<Stream> parts;
  std::vector<uint32_t> first;
  uint32_t threads = 0;
  size_t ops = 0;
  for (const Stream& stream : streams) {
    parts.push_back(Repack(Clean(stream)));
    first.push_back(threads);
    threads += parts.back().header.threads;
    ops += parts.back().ops.size();
  }
  if (threads > op_stream::kMaxThreads) {
    *error = "together they have " + std::to_string(threads) + " threads; a stream has at most " +
             std::to_string(op_stream::kMaxThreads);
    return out;
  }
  out.ops.reserve(ops + 2 * parts.size());
  for (size_t i = 1; i < parts.size(); ++i) out.ops.push_back({OpKind::kStart, 0, {first[i]}});
  std::vector<size_t> at(parts.size());
  for (size_t done = 0; done < ops; ++done) {
    // The one that is the farthest behind, in millionths of its operations.
    size_t next = parts.size();
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < parts.size(); ++i) {
      const size_t count = parts[i].ops.size();
      if (at[i] == count) continue;
      const uint64_t progress = at[i] * kMillion / count;
      if (progress < least) {
        least = progress;
        next = i;
      }
    }
    Op op = parts[next].ops[at[next]++];
    op.thread += first[next];
    const auto& types = op_stream::RowOf(op.kind).operands;
    for (size_t k = 0; k < op_stream::kMaxOperands; ++k) {
      if (types[k] == op_stream::OperandType::kThread) op.operands[k] += first[next];
    }
    out.ops.push_back(op);
    if (at[next] == parts[next].ops.size() && next != 0) out.ops.push_back({OpKind::kEnd, first[next], {}});
  }
  for (const Stream& part : parts) {
    out.header.slots = std::max(out.header.slots, part.header.slots);
    out.header.max_size = std::max(out.header.max_size, part.header.max_size);
  }
  out.header.threads = std::max(threads, 1u);
  out.header.max_live = op_stream::kMaxLive;
  return Repack(Clean(out));
}

}  // namespace hakmem::recording
