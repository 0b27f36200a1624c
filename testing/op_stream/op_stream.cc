#include "testing/op_stream/op_stream.h"

#include "absl/strings/str_cat.h"

namespace hakmem::op_stream {
namespace {

using enum OperandType;

constexpr OpRow kRows[kOpKinds] = {
    {"malloc", {kSlot, kSize}},
    {"calloc", {kSlot, kSize, kCount}},
    {"realloc", {kSlot, kSize}},
    {"reallocarray", {kSlot, kSize, kCount}},
    {"aligned_alloc", {kSlot, kSize, kAlignment}},
    {"posix_memalign", {kSlot, kSize, kAlignment}},
    {"memalign", {kSlot, kSize, kAlignment}},
    {"free", {kSlot}},
    {"free_sized", {kSlot}},
    {"usable_size", {kSlot}},
    {"fill", {kSlot, kPattern}},
    {"check", {kSlot}},
    {"hand", {kSlot, kThread, kThereSlot}},
    {"start", {kThread}},
    {"end", {}},
    {"trim", {kKeep}},
    {"fork", {}},
    {"barrier", {}},
    {"refused", {kSlot, kRefusal}},
};

std::string OutOfBounds(const char* what, uint64_t value, uint64_t least, uint64_t greatest) {
  if (value >= least && value <= greatest) return "";
  return absl::StrCat(what, " is ", value, ", outside ", least, " to ", greatest);
}

}  // namespace

const OpRow& RowOf(OpKind kind) { return kRows[static_cast<size_t>(kind)]; }

uint64_t OperandLimit(const Header& header, const Op& op, size_t i) {
  switch (RowOf(op.kind).operands[i]) {
    case kNone: return 0;
    case kSlot:
    case kThereSlot: return header.slots - 1;
    case kSize: return header.max_size;
    case kCount: return op.operands[i - 1] == 0 ? header.max_size : header.max_size / op.operands[i - 1];
    case kAlignment: return kMaxAlignmentLog2;
    case kPattern: return 255;
    case kThread: return header.threads - 1;
    case kKeep: return header.max_live;
    case kRefusal: return kRefusals - 1;
  }
  return 0;
}

std::string FindError(const Header& header) {
  std::string error = OutOfBounds("the number of threads", header.threads, 1, kMaxThreads);
  if (error.empty()) error = OutOfBounds("the number of slots", header.slots, 1, kMaxSlots);
  if (error.empty()) error = OutOfBounds("the greatest size", header.max_size, 0, kMaxSize);
  if (error.empty()) error = OutOfBounds("the bound of live bytes", header.max_live, 0, kMaxLive);
  return error;
}

std::string FindError(const Header& header, const Op& op) {
  if (static_cast<size_t>(op.kind) >= kOpKinds) {
    return absl::StrCat("there is no operation ", static_cast<int>(op.kind));
  }
  std::string error = OutOfBounds("the thread", op.thread, 0, header.threads - 1);
  for (size_t i = 0; error.empty() && i < kMaxOperands; ++i) {
    if (op.operands[i] <= OperandLimit(header, op, i)) continue;
    error = OutOfBounds(absl::StrCat("operand ", i + 1, " of ", RowOf(op.kind).name).c_str(), op.operands[i], 0,
                        OperandLimit(header, op, i));
  }
  return error;
}

std::string FindError(const Stream& stream) {
  std::string error = FindError(stream.header);
  for (size_t i = 0; error.empty() && i < stream.ops.size(); ++i) {
    error = FindError(stream.header, stream.ops[i]);
    if (!error.empty()) return absl::StrCat("operation ", i, ": ", error);
  }
  return error;
}

}  // namespace hakmem::op_stream
