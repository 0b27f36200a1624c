// The same stream on hakmem and on the C library's malloc (a sanitizer's, where there is one): what the standards fix
// of the results is the same.

#include <vector>

#include "fuzz/input.h"
#include "fuzz/streams.h"

namespace {

using hakmem::op_stream::Op;
using hakmem::op_stream::OpKind;
using hakmem::op_stream::Outcome;
using hakmem::op_stream::Refusal;

// What no standard fixes, or a sanitizer's malloc does not answer.
bool MayDiffer(const Op& op) {
  if (op.kind != OpKind::kRefused) return false;
  const auto refusal = static_cast<Refusal>(op.operands[1]);
  return !hakmem::op_stream::SystemAllocator().refuses || refusal == Refusal::kAlignedAllocAlignment;
}

// A sanitizer's malloc takes the use of a block of no bytes for a fault, however many malloc_usable_size promises.
void AvoidEmptyBlocks(hakmem::op_stream::Stream* stream) {
  for (Op& op : stream->ops) {
    const hakmem::op_stream::OpRow& row = RowOf(op.kind);
    if (row.operands[1] != hakmem::op_stream::OperandType::kSize) continue;
    const bool counts = row.operands[2] == hakmem::op_stream::OperandType::kCount;
    if (op.operands[1] != 0 && (!counts || op.operands[2] != 0)) continue;
    op.operands[1] = 1;
    if (counts) op.operands[2] = 1;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hakmem::op_stream::Stream stream = hakmem::fuzz::DecodeStream(data, size, 2);
  if (!hakmem::op_stream::SystemAllocator().refuses) AvoidEmptyBlocks(&stream);
  hakmem::op_stream::ExecuteOptions options = hakmem::fuzz::kFuzzing;
  std::vector<Outcome> ours;
  std::vector<Outcome> theirs;
  options.outcomes = &ours;
  Execute(stream, hakmem::op_stream::HakAllocator(), options);
  options.outcomes = &theirs;
  Execute(stream, hakmem::op_stream::SystemAllocator(), options);
  for (size_t i = 0; i < stream.ops.size(); ++i) FUZZ_CHECK(MayDiffer(stream.ops[i]) || ours[i] == theirs[i]);
  return 0;
}
