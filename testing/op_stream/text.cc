#include "testing/op_stream/text.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace hakmem::op_stream {
namespace {

size_t OperandCount(OpKind kind) {
  size_t count = 0;
  while (count < kMaxOperands && RowOf(kind).operands[count] != OperandType::kNone) ++count;
  return count;
}

std::string ParseHeader(const std::vector<absl::string_view>& words, Header* header) {
  if (words[0] != "stream") return "the first line has to begin with 'stream'";
  for (size_t i = 1; i < words.size(); ++i) {
    const std::vector<absl::string_view> pair = absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    uint64_t value = 0;
    if (pair.size() != 2 || !absl::SimpleAtoi(pair[1], &value)) {
      return absl::StrCat("'", words[i], "' is not name=number");
    }
    if (pair[0] == "threads" && value <= kMaxThreads) {
      header->threads = static_cast<uint32_t>(value);
    } else if (pair[0] == "slots" && value <= kMaxSlots) {
      header->slots = static_cast<uint32_t>(value);
    } else if (pair[0] == "max_size") {
      header->max_size = value;
    } else if (pair[0] == "max_live") {
      header->max_live = value;
    } else {
      return absl::StrCat("'", words[i], "' is not known or too great");
    }
  }
  return FindError(*header);
}

std::string ParseOp(const std::vector<absl::string_view>& words, const Header& header, Op* op) {
  if (!absl::SimpleAtoi(words[0], &op->thread)) return absl::StrCat("'", words[0], "' is no thread");
  if (words.size() < 2) return "the operation is missing";
  size_t kind = 0;
  while (kind < kOpKinds && words[1] != RowOf(static_cast<OpKind>(kind)).name) ++kind;
  if (kind == kOpKinds) return absl::StrCat("there is no operation '", words[1], "'");
  op->kind = static_cast<OpKind>(kind);
  const size_t wanted = OperandCount(op->kind);
  if (words.size() != 2 + wanted) return absl::StrCat("'", words[1], "' takes ", wanted, " numbers");
  for (size_t i = 0; i < wanted; ++i) {
    if (!absl::SimpleAtoi(words[2 + i], &op->operands[i])) return absl::StrCat("'", words[2 + i], "' is no number");
  }
  return FindError(header, *op);
}

}  // namespace

std::string ToText(const Op& op) {
  std::string text = absl::StrCat(op.thread, " ", RowOf(op.kind).name);
  for (size_t i = 0; i < OperandCount(op.kind); ++i) absl::StrAppend(&text, " ", op.operands[i]);
  return text;
}

std::string ToText(const Stream& stream) {
  std::string text = absl::StrCat("stream threads=", stream.header.threads, " slots=", stream.header.slots,
                                  " max_size=", stream.header.max_size, " max_live=", stream.header.max_live, "\n");
  for (const Op& op : stream.ops) absl::StrAppend(&text, ToText(op), "\n");
  return text;
}

Decoded ParseText(std::string_view text) {
  Decoded out;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits('#', 1));
    const std::vector<absl::string_view> words =
        absl::StrSplit(parts.first, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    std::string error;
    if (!out.readable) {
      Header header;
      error = ParseHeader(words, &header);
      out.readable = error.empty();
      if (out.readable) out.stream.header = header;
    } else {
      Op op;
      error = ParseOp(words, out.stream.header, &op);
      if (error.empty()) out.stream.ops.push_back(op);
    }
    if (!error.empty()) {
      out.error = absl::StrCat("line ", number, ": ", error);
      return out;
    }
  }
  if (!out.readable) out.error = "the text is empty";
  return out;
}

}  // namespace hakmem::op_stream
