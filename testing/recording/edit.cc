#include "testing/recording/edit.h"

#include <algorithm>
#include <optional>

#include "testing/op_stream/plan.h"
#include "testing/recording/ops.h"
#include "testing/recording/slot_pool.h"

namespace hakmem::recording {
namespace {

using op_stream::Header;
using op_stream::Plan;
using op_stream::Step;
using op_stream::ThreadPlan;

// The tightest header, and operands within it.
void Tighten(Stream* stream) {
  Header header{.threads = 1, .slots = 1, .max_size = 0, .max_live = op_stream::kMaxLive};
  for (const Op& op : stream->ops) {
    const auto& types = op_stream::RowOf(op.kind).operands;
    header.threads = std::max(header.threads, op.thread + 1);
    for (size_t i = 0; i < op_stream::kMaxOperands; ++i) {
      const uint64_t value = op.operands[i];
      switch (types[i]) {
        case op_stream::OperandType::kThread:
          header.threads = std::max(header.threads, static_cast<uint32_t>(value) + 1);
          break;
        case op_stream::OperandType::kSlot:
        case op_stream::OperandType::kThereSlot:
          header.slots = std::max(header.slots, static_cast<uint32_t>(value) + 1);
          break;
        case op_stream::OperandType::kSize: header.max_size = std::max(header.max_size, value); break;
        case op_stream::OperandType::kCount:
          // Elements of 0 bytes are bounded by the greatest size too.
          header.max_size = std::max(header.max_size, std::max<uint64_t>(op.operands[i - 1], 1) * value);
          break;
        default: break;
      }
    }
  }
  stream->header = header;
  stream->header.max_live = op_stream::MakePlan(*stream).peak_live;
  for (Op& op : stream->ops) {
    if (op.kind == OpKind::kTrim) op.operands[0] = std::min(op.operands[0], stream->header.max_live);
  }
}

class Repacker {
 public:
  Repacker(const Stream& from, uint32_t most_slots) : from_(from) {
    const uint32_t spread = std::min(most_slots / 8, 64u);
    pools_.assign(from.header.threads, SlotPool(most_slots, spread));
    placed_.resize(from.header.threads);
  }

  Stream Run() {
    for (const Op& op : from_.ops) Add(op);
    Tighten(&out_);
    return std::move(out_);
  }

 private:
  std::optional<uint32_t>& PlaceOf(uint32_t thread, uint64_t slot) {
    std::vector<std::optional<uint32_t>>& places = placed_[thread];
    if (slot >= places.size()) places.resize(slot + 1);
    return places[slot];
  }

  void Add(Op op) {
    if (!HasSlot(op.kind)) {
      out_.ops.push_back(op);
      return;
    }
    std::optional<uint32_t>& place = PlaceOf(op.thread, op.operands[0]);
    SlotPool& pool = pools_[op.thread];
    if (op.kind == OpKind::kRefused && !place) {
      // Only the slot's being empty matters.
      const std::optional<uint32_t> empty = pool.Take();
      if (!empty) return;
      pool.Release(*empty);
      op.operands[0] = *empty;
      out_.ops.push_back(op);
      return;
    }
    const bool had = place.has_value();
    if (!had && Makes(op.kind)) place = pool.Take();
    if (!place) return;
    op.operands[0] = *place;
    if (op.kind == OpKind::kHand) {
      Hand(op, &place);
      return;
    }
    out_.ops.push_back(op);
    if (!Frees(op, had)) return;
    pool.Release(*place);
    place.reset();
  }

  void Hand(Op op, std::optional<uint32_t>* place) {
    const auto thread = static_cast<uint32_t>(op.operands[1]);
    std::optional<uint32_t> there = pools_[thread].TakeForHand();
    pools_[op.thread].Release(**place);
    place->reset();
    if (there) {
      PlaceOf(thread, op.operands[2]) = there;
      op.operands[2] = *there;
    } else {
      op.kind = OpKind::kFree;
      op.operands = {op.operands[0]};
    }
    out_.ops.push_back(op);
  }

  const Stream& from_;
  Stream out_;
  std::vector<SlotPool> pools_;
  std::vector<std::vector<std::optional<uint32_t>>> placed_;  // where a slot's block is now, nothing if left out
};

}  // namespace

Stream Clean(const Stream& stream) {
  const Plan plan = op_stream::MakePlan(stream);
  std::vector<bool> used(stream.ops.size());
  for (const ThreadPlan& thread : plan.threads) {
    for (const Step& step : thread.steps) {
      if (step.op != Step::kOnlyWait) used[step.op] = true;
    }
  }
  Stream clean{stream.header, {}};
  for (size_t i = 0; i < stream.ops.size(); ++i) {
    if (used[i]) clean.ops.push_back(stream.ops[i]);
  }
  return clean;
}

Stream Repack(const Stream& clean, uint32_t most_slots) { return Repacker(clean, most_slots).Run(); }

}  // namespace hakmem::recording
