#include "testing/op_stream/codec.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "testing/op_stream/checksum.h"

namespace hakmem::op_stream {
namespace {

constexpr uint8_t kThreadFollows = 0x80;
constexpr size_t kChunkBytes = 60000;
constexpr size_t kSumBytes = 4;

void PutNumber(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void PutOp(const Op& op, uint32_t* thread, std::string* out) {
  const bool switches = op.thread != *thread;
  out->push_back(static_cast<char>(static_cast<uint8_t>(op.kind) | (switches ? kThreadFollows : 0)));
  if (switches) PutNumber(op.thread, out);
  *thread = op.thread;
  for (size_t i = 0; i < kMaxOperands && RowOf(op.kind).operands[i] != OperandType::kNone; ++i) {
    PutNumber(op.operands[i], out);
  }
}

void PutSum(size_t from, std::string* out) {
  const uint32_t sum = Crc32c(out->data() + from, out->size() - from);
  for (size_t i = 0; i < kSumBytes; ++i) out->push_back(static_cast<char>(sum >> (8 * i)));
}

// Reads from the front of a piece of memory.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool empty() const { return at_ == bytes_.size(); }
  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  std::optional<uint8_t> Byte() {
    if (empty()) return std::nullopt;
    return static_cast<uint8_t>(bytes_[at_++]);
  }

  // Nothing when the bytes end within it, or when it does not fit 64 bits.
  std::optional<uint64_t> Number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::optional<uint8_t> byte = Byte();
      if (!byte) return std::nullopt;
      const uint64_t bits = *byte & 0x7f;
      if ((bits << shift) >> shift != bits) return std::nullopt;
      value |= bits << shift;
      if (*byte < 0x80) return value;
    }
    return std::nullopt;
  }

  std::string_view Take(size_t count) {
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += taken.size();
    return taken;
  }

  // The sum that stands here agrees with the bytes from `from` to here.
  bool SumAgrees(size_t from) {
    const uint32_t sum = Crc32c(bytes_.data() + from, at_ - from);
    for (size_t i = 0; i < kSumBytes; ++i) {
      const std::optional<uint8_t> byte = Byte();
      if (!byte || *byte != static_cast<uint8_t>(sum >> (8 * i))) return false;
    }
    return true;
  }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
};

// An operation that is as it should be, or nothing.
std::optional<Op> ReadOp(const Header& header, uint32_t* thread, Reader* in) {
  const std::optional<uint8_t> first = in->Byte();
  if (!first || (*first & ~kThreadFollows) >= kOpKinds) return std::nullopt;
  Op op;
  op.kind = static_cast<OpKind>(*first & ~kThreadFollows);
  if ((*first & kThreadFollows) != 0) {
    const std::optional<uint64_t> number = in->Number();
    if (!number || *number >= header.threads) return std::nullopt;
    *thread = static_cast<uint32_t>(*number);
  }
  op.thread = *thread;
  for (size_t i = 0; i < kMaxOperands && RowOf(op.kind).operands[i] != OperandType::kNone; ++i) {
    const std::optional<uint64_t> number = in->Number();
    if (!number || *number > OperandLimit(header, op, i)) return std::nullopt;
    op.operands[i] = *number;
  }
  return op;
}

bool ReadHeader(Reader* in, Decoded* out) {
  const size_t magic_size = sizeof(kFileMagic) - 1;
  if (in->Take(magic_size) != kFileMagic) {
    out->error = "this is no stream: it does not begin with HKOS";
    return false;
  }
  const std::optional<uint8_t> version = in->Byte();
  if (version && *version != kFileVersion) {
    out->error = absl::StrCat("version ", *version, " of the format; this program reads version ", kFileVersion);
    return false;
  }
  std::optional<uint64_t> numbers[4];
  for (std::optional<uint64_t>& number : numbers) number = in->Number();
  if (!numbers[3] || !in->SumAgrees(0)) {
    out->error = "the header is damaged or cut short";
    return false;
  }
  Header header;
  header.threads = static_cast<uint32_t>(std::min<uint64_t>(*numbers[0], UINT32_MAX));
  header.slots = static_cast<uint32_t>(std::min<uint64_t>(*numbers[1], UINT32_MAX));
  header.max_size = *numbers[2];
  header.max_live = *numbers[3];
  out->error = FindError(header);
  if (!out->error.empty()) return false;
  out->stream.header = header;
  return true;
}

// Appends a whole chunk. False, with the error set and nothing appended, when it is not sound; false at the end mark.
bool ReadChunk(Reader* in, Decoded* out) {
  const size_t from = in->at();
  const auto fail = [&](const std::string& what) {
    out->error =
        absl::StrCat(what, " in the chunk at byte ", from, "; ", out->stream.ops.size(), " operations are sound");
    return false;
  };
  if (in->empty()) return fail("the file ends without its end mark");
  const std::optional<uint64_t> size = in->Number();
  const std::optional<uint64_t> count = in->Number();
  if (!size || !count || *size > in->left()) return fail("the file is cut short");
  const std::string_view payload = in->Take(*size);
  if (in->left() < kSumBytes) return fail("the file is cut short");
  if (!in->SumAgrees(from)) return fail("the sum does not agree");
  if (*size == 0) {
    if (*count != out->stream.ops.size()) return fail("operations are missing");
    if (!in->empty()) return fail(absl::StrCat(in->left(), " bytes follow the end mark"));
    return false;
  }
  Reader ops(payload);
  uint32_t thread = 0;
  std::vector<Op> read;
  while (!ops.empty()) {
    const std::optional<Op> op = ReadOp(out->stream.header, &thread, &ops);
    if (!op) return fail(absl::StrCat("operation ", read.size(), " is not valid"));
    read.push_back(*op);
  }
  if (read.size() != *count) return fail("the number of operations does not agree");
  out->stream.ops.insert(out->stream.ops.end(), read.begin(), read.end());
  return true;
}

void PutChunk(std::string_view payload, uint64_t count, std::string* out) {
  const size_t from = out->size();
  PutNumber(payload.size(), out);
  PutNumber(count, out);
  out->append(payload);
  PutSum(from, out);
}

uint64_t ReadLoose(Reader* in, uint64_t greatest) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = in->Byte().value_or(0);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value <= greatest ? value : value % (greatest + 1);
}

}  // namespace

std::string EncodeFile(const Stream& stream) {
  std::string out = kFileMagic;
  out.push_back(static_cast<char>(kFileVersion));
  PutNumber(stream.header.threads, &out);
  PutNumber(stream.header.slots, &out);
  PutNumber(stream.header.max_size, &out);
  PutNumber(stream.header.max_live, &out);
  PutSum(0, &out);
  std::string payload;
  uint64_t count = 0;
  uint32_t thread = 0;
  for (const Op& op : stream.ops) {
    PutOp(op, &thread, &payload);
    ++count;
    if (payload.size() < kChunkBytes) continue;
    PutChunk(payload, count, &out);
    payload.clear();
    count = 0;
    thread = 0;
  }
  if (count != 0) PutChunk(payload, count, &out);
  PutChunk("", stream.ops.size(), &out);
  return out;
}

Decoded DecodeFile(std::string_view bytes) {
  Decoded out;
  Reader in(bytes);
  out.readable = ReadHeader(&in, &out);
  if (out.readable) {
    while (ReadChunk(&in, &out)) {
    }
  }
  return out;
}

std::string EncodeLoose(const Stream& stream) {
  std::string out;
  PutNumber(stream.header.threads - 1, &out);
  PutNumber(stream.header.slots - 1, &out);
  PutNumber(stream.header.max_size, &out);
  PutNumber(stream.header.max_live, &out);
  uint32_t thread = 0;
  for (const Op& op : stream.ops) PutOp(op, &thread, &out);
  return out;
}

Stream DecodeLoose(std::string_view bytes, const LooseLimits& limits) {
  Reader in(bytes);
  Stream stream;
  stream.header.threads = static_cast<uint32_t>(ReadLoose(&in, limits.threads - 1)) + 1;
  stream.header.slots = static_cast<uint32_t>(ReadLoose(&in, limits.slots - 1)) + 1;
  stream.header.max_size = ReadLoose(&in, limits.max_size);
  stream.header.max_live = ReadLoose(&in, limits.max_live);
  uint32_t thread = 0;
  while (!in.empty() && stream.ops.size() < limits.ops) {
    const uint8_t first = in.Byte().value_or(0);
    Op op;
    op.kind = static_cast<OpKind>((first & ~kThreadFollows) % kOpKinds);
    if ((first & kThreadFollows) != 0) thread = static_cast<uint32_t>(ReadLoose(&in, stream.header.threads - 1));
    op.thread = thread;
    for (size_t i = 0; i < kMaxOperands && RowOf(op.kind).operands[i] != OperandType::kNone; ++i) {
      op.operands[i] = ReadLoose(&in, OperandLimit(stream.header, op, i));
    }
    stream.ops.push_back(op);
  }
  return stream;
}

}  // namespace hakmem::op_stream
