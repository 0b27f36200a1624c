#include "testing/op_stream/plan.h"

#include <algorithm>

namespace hakmem::op_stream {
namespace {

class Planner {
 public:
  Planner(const Stream& stream, const PlanLimits& limits) : stream_(stream), limits_(limits) {
    const size_t threads = stream.header.threads;
    plan_.threads.resize(threads);
    slots_.resize(threads);
    running_.resize(threads);
    known_.resize(threads * threads);
    CountSlots();
    for (size_t t = 0; t < threads; ++t) slots_[t].resize(plan_.threads[t].slots);
    running_[0] = true;
    plan_.threads[0].lives.push_back({});
  }

  Plan Make() {
    for (size_t i = 0; i < stream_.ops.size(); ++i) {
      if (!Add(static_cast<uint32_t>(i), stream_.ops[i])) ++plan_.left_out;
    }
    for (size_t t = 0; t < running_.size(); ++t) {
      if (running_[t]) EndLife(static_cast<uint32_t>(t));
    }
    return std::move(plan_);
  }

 private:
  struct Slot {
    uint64_t bytes = 0;
    bool full = false;
    Wait last;  // the step that touched it last
  };

  // Only slots that are named get memory.
  void CountSlots() {
    for (const Op& op : stream_.ops) {
      const auto& types = RowOf(op.kind).operands;
      for (size_t k = 0; k < kMaxOperands; ++k) {
        if (types[k] != OperandType::kSlot && types[k] != OperandType::kThereSlot) continue;
        const uint64_t thread = types[k] == OperandType::kSlot ? op.thread : op.operands[k - 1];
        uint32_t& slots = plan_.threads[thread].slots;
        slots = std::max(slots, static_cast<uint32_t>(op.operands[k]) + 1);
      }
    }
  }

  uint32_t StepsOf(uint32_t thread) const { return static_cast<uint32_t>(plan_.threads[thread].steps.size()); }

  // Adds a step of `thread`, after wait-only steps for what does not fit in it.
  void AddStep(uint32_t thread, uint32_t op, const std::vector<Wait>& waits, uint32_t detail = 0) {
    std::vector<Step>& steps = plan_.threads[thread].steps;
    Step step;
    size_t used = 0;
    for (const Wait& wait : waits) {
      if (wait.steps == 0 || wait.thread == thread) continue;
      uint32_t& known = known_[thread * running_.size() + wait.thread];
      if (known >= wait.steps) continue;
      known = wait.steps;
      plan_.threads[wait.thread].steps[wait.steps - 1].watched = true;
      if (used == step.waits.size()) {
        steps.push_back(step);
        step = {};
        used = 0;
      }
      step.waits[used++] = wait;
    }
    step.op = op;
    step.detail = detail;
    steps.push_back(step);
  }

  // Adds a step that touches one slot of its thread.
  void AddTouch(uint32_t thread, uint32_t op, Slot* slot) {
    AddStep(thread, op, {slot->last});
    slot->last = {thread, StepsOf(thread)};
  }

  void EndLife(uint32_t thread) {
    plan_.threads[thread].lives.back().end = StepsOf(thread);
    running_[thread] = false;
  }

  bool Resize(const Op& op, uint32_t index, Slot* slot, uint64_t bytes) {
    if (live_ - slot->bytes + bytes > stream_.header.max_live) return false;
    live_ += bytes - slot->bytes;
    slot->bytes = bytes;
    plan_.peak_live = std::max(plan_.peak_live, live_);
    AddTouch(op.thread, index, slot);
    return true;
  }

  bool Fill(const Op& op, uint32_t index, Slot* slot, uint64_t bytes) {
    if (slot->full || !Resize(op, index, slot, bytes)) return false;
    slot->full = true;
    return true;
  }

  bool Empty(const Op& op, uint32_t index, Slot* slot) {
    if (!slot->full) return false;
    Resize(op, index, slot, 0);
    slot->full = false;
    return true;
  }

  bool Hand(const Op& op, uint32_t index, Slot* from) {
    Slot* to = &slots_[op.operands[1]][op.operands[2]];
    if (!from->full || to->full) return false;
    AddStep(op.thread, index, {from->last, to->last});
    from->last = to->last = {op.thread, StepsOf(op.thread)};
    std::swap(from->full, to->full);
    std::swap(from->bytes, to->bytes);
    return true;
  }

  bool Start(const Op& op, uint32_t index) {
    const auto thread = static_cast<uint32_t>(op.operands[0]);
    if (running_[thread] || starts_ == limits_.starts) return false;
    ++starts_;
    std::vector<Life>& lives = plan_.threads[thread].lives;
    AddStep(op.thread, index, {}, static_cast<uint32_t>(lives.size()));
    // Whoever starts a thread joins it first, if it had run before, so its steps need no waits.
    lives.push_back({StepsOf(thread), 0});
    running_[thread] = true;
    return true;
  }

  // The child looks at all slots of its thread: what others put there has to be there, and nothing may be on its way.
  bool Fork(const Op& op, uint32_t index) {
    if (forks_ == limits_.forks) return false;
    ++forks_;
    std::vector<Wait> waits;
    for (const Slot& slot : slots_[op.thread]) {
      if (slot.last.thread != op.thread) waits.push_back(slot.last);
    }
    AddStep(op.thread, index, waits);
    for (Slot& slot : slots_[op.thread]) slot.last = {op.thread, StepsOf(op.thread)};
    return true;
  }

  bool Barrier(uint32_t index) {
    const auto number = static_cast<uint32_t>(plan_.barriers.size());
    uint32_t count = 0;
    for (uint32_t t = 0; t < running_.size(); ++t) {
      if (!running_[t]) continue;
      AddStep(t, index, {}, number);
      ++count;
    }
    plan_.barriers.push_back(count);
    return true;
  }

  bool Add(uint32_t index, const Op& op) {
    if (!running_[op.thread]) return false;
    Slot* slot = RowOf(op.kind).operands[0] == OperandType::kSlot ? &slots_[op.thread][op.operands[0]] : nullptr;
    switch (op.kind) {
      case OpKind::kMalloc: return Fill(op, index, slot, op.operands[1]);
      case OpKind::kCalloc: return Fill(op, index, slot, op.operands[1] * op.operands[2]);
      case OpKind::kAlignedAlloc:
      case OpKind::kPosixMemalign:
      case OpKind::kMemalign: return Fill(op, index, slot, std::max(op.operands[1], uint64_t{1} << op.operands[2]));
      case OpKind::kRealloc:
      case OpKind::kReallocarray: {
        const uint64_t bytes = op.operands[1] * (op.kind == OpKind::kRealloc ? 1 : op.operands[2]);
        if (!slot->full) return Fill(op, index, slot, bytes);
        if (bytes == 0) return Empty(op, index, slot);
        return Resize(op, index, slot, bytes);
      }
      case OpKind::kFree:
      case OpKind::kFreeSized: return Empty(op, index, slot);
      case OpKind::kUsableSize:
      case OpKind::kFill:
      case OpKind::kCheck:
        if (slot->full) AddTouch(op.thread, index, slot);
        return slot->full;
      case OpKind::kRefused: AddTouch(op.thread, index, slot); return true;
      case OpKind::kHand: return Hand(op, index, slot);
      case OpKind::kStart: return Start(op, index);
      case OpKind::kEnd:
        if (op.thread == 0) return false;
        AddStep(op.thread, index, {});
        EndLife(op.thread);
        return true;
      case OpKind::kTrim: AddStep(op.thread, index, {}); return true;
      case OpKind::kFork: return Fork(op, index);
      case OpKind::kBarrier: return Barrier(index);
    }
    return false;
  }

  const Stream& stream_;
  const PlanLimits limits_;
  Plan plan_;
  std::vector<std::vector<Slot>> slots_;
  std::vector<bool> running_;
  std::vector<uint32_t> known_;  // steps of another thread that a thread has already waited for
  uint64_t live_ = 0;
  uint32_t forks_ = 0;
  uint32_t starts_ = 0;
};

}  // namespace

Plan MakePlan(const Stream& stream, const PlanLimits& limits) { return Planner(stream, limits).Make(); }

}  // namespace hakmem::op_stream
