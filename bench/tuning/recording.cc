#include "bench/tuning/recording.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "testing/recording/recording.h"

namespace hakmem::bench {
namespace {

using op_stream::Op;
using op_stream::OpKind;

// Numbers the slots of all threads through, and says which of them hold a block.
class Blocks {
 public:
  explicit Blocks(Recording* recording) : recording_(recording) {}

  void Begin(uint64_t slot, uint64_t size) {
    End(slot);
    recording_->uses.push_back({NumberOf(slot), static_cast<uint32_t>(std::min<uint64_t>(size, Use::kEnd - 1))});
    alive_[NumberOf(slot)] = true;
  }
  void End(uint64_t slot) {
    if (alive_[NumberOf(slot)]) recording_->uses.push_back({NumberOf(slot), Use::kEnd});
    alive_[NumberOf(slot)] = false;
  }
  // The block keeps its number, so that its life goes on.
  void Move(uint64_t from, uint64_t to) {
    End(to);
    std::swap(NumberOf(from), NumberOf(to));
  }

 private:
  uint32_t& NumberOf(uint64_t slot) {
    if (slot >= numbers_.size()) numbers_.resize(slot + 1, kNone);
    uint32_t& number = numbers_[slot];
    if (number == kNone) {
      number = recording_->slots++;
      alive_.push_back(false);
    }
    return number;
  }

  static constexpr uint32_t kNone = UINT32_MAX;
  Recording* recording_;
  std::vector<uint32_t> numbers_;
  std::vector<bool> alive_;
};

}  // namespace

Recording FromStream(const std::string& name, const op_stream::Stream& stream) {
  Recording recording;
  recording.name = name;
  Blocks blocks(&recording);
  const auto slot_of = [&stream](uint64_t thread, uint64_t slot) { return slot * stream.header.threads + thread; };
  for (const Op& op : stream.ops) {
    const uint64_t slot = slot_of(op.thread, op.operands[0]);
    switch (op.kind) {
      case OpKind::kMalloc:
      case OpKind::kRealloc:
      case OpKind::kAlignedAlloc:
      case OpKind::kPosixMemalign:
      case OpKind::kMemalign: blocks.Begin(slot, op.operands[1]); break;
      case OpKind::kCalloc:
      case OpKind::kReallocarray: blocks.Begin(slot, op.operands[1] * op.operands[2]); break;
      case OpKind::kFree:
      case OpKind::kFreeSized: blocks.End(slot); break;
      case OpKind::kHand: blocks.Move(slot, slot_of(op.operands[1], op.operands[2])); break;
      default: break;
    }
  }
  return recording;
}

bool ReadRecording(const std::string& path, Recording* recording, std::string* fault) {
  const recording::Recording read = recording::LoadRecording(path);
  if (!read.error.empty()) {
    *fault = absl::StrCat(path, ": ", read.error);
    return false;
  }
  std::string name = path.substr(path.rfind('/') + 1);
  if (name.rfind("recording-", 0) == 0) name = name.substr(10);
  if (const size_t end = name.rfind(".hkos"); end != std::string::npos) name = name.substr(0, end);
  *recording = FromStream(name, read.stream);
  return true;
}

}  // namespace hakmem::bench
