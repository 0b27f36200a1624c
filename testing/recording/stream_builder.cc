#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "testing/op_stream/plan.h"
#include "testing/recording/events.h"
#include "testing/recording/slot_pool.h"

namespace hakmem::recording {
namespace {

using op_stream::OpKind;
using op_stream::Stream;

constexpr uint32_t kNone = UINT32_MAX;

struct Block {
  uint32_t thread = 0;  // of the stream, that holds it
  uint32_t slot = 0;
  uint32_t taker = kNone;  // the recorded thread that gives it up, or kNone
  uint32_t newer = kNone;  // the next block at the same address
};

// A recorded thread.
struct Thread {
  size_t first = 0;  // events
  size_t last = 0;
  uint32_t number = kNone;  // in the stream
  uint32_t lifted = kNone;  // the block in the middle of a realloc
  bool folded = false;
};

class Builder {
 public:
  Builder(const std::vector<Event>& events, Oddities* oddities) : events_(events), oddities_(*oddities) {}

  Stream Run() {
    FindThreads();
    NumberThreads();
    FindTakers();
    uint32_t numbers = 1;
    for (const auto& [recorded, thread] : threads_) numbers = std::max(numbers, thread.number + 1);
    pools_.resize(numbers);
    held_.resize(numbers);
    for (size_t i = 0; i < events_.size(); ++i) {
      Thread& thread = threads_[events_[i].thread];
      if (thread.first == i && thread.number != 0) Emit(OpKind::kStart, 0, {thread.number});
      Add(i, thread);
      if (thread.last == i && thread.number != 0) End(thread.number);
    }
    SetHeader();
    return std::move(stream_);
  }

 private:
  void FindThreads() {
    for (size_t i = 0; i < events_.size(); ++i) {
      const auto [found, is_new] = threads_.try_emplace(events_[i].thread);
      if (is_new) {
        found->second.first = i;
        order_.push_back(events_[i].thread);
      }
      found->second.last = i;
    }
  }

  void NumberThreads() {
    std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> free;
    for (uint32_t number = 1; number < op_stream::kMaxThreads; ++number) free.push(number);
    std::priority_queue<std::pair<size_t, uint32_t>, std::vector<std::pair<size_t, uint32_t>>, std::greater<>> ends;
    for (const uint32_t recorded : order_) {
      Thread& thread = threads_[recorded];
      if (recorded == order_.front()) {
        thread.number = 0;
        continue;
      }
      while (!ends.empty() && ends.top().first < thread.first) {
        free.push(ends.top().second);
        ends.pop();
      }
      if (free.empty()) {
        thread.number = 0;
        ++oddities_.folded_threads;
        continue;
      }
      thread.number = free.top();
      free.pop();
      ends.emplace(thread.last, thread.number);
    }
  }

  // Backwards, so that each block learns who gives it up.
  void FindTakers() {
    takers_.assign(events_.size(), kNone);
    std::unordered_map<uint64_t, uint32_t> next;
    for (size_t i = events_.size(); i-- > 0;) {
      const Event& event = events_[i];
      if (event.gives_up()) {
        next[event.block] = event.thread;
      } else if (event.kind == Event::Kind::kGet || event.kind == Event::Kind::kLower) {
        const auto found = next.find(event.block);
        if (found == next.end()) continue;
        takers_[i] = found->second;
        next.erase(found);
      }
    }
  }

  void Emit(OpKind kind, uint32_t thread, std::array<uint64_t, op_stream::kMaxOperands> operands) {
    stream_.ops.push_back({kind, thread, operands});
  }

  // The oldest block at an address: what was allocated first is freed first.
  uint32_t TakeOut(uint64_t address) {
    const auto found = live_.find(address);
    if (found == live_.end()) return kNone;
    const uint32_t block = found->second;
    if (blocks_[block].newer == kNone) {
      live_.erase(found);
    } else {
      found->second = blocks_[block].newer;
      blocks_[block].newer = kNone;
    }
    return block;
  }

  void PutIn(uint64_t address, uint32_t block) {
    const auto [found, is_new] = live_.try_emplace(address, block);
    if (is_new) return;
    ++oddities_.seen_twice;
    uint32_t last = found->second;
    while (blocks_[last].newer != kNone) last = blocks_[last].newer;
    blocks_[last].newer = block;
  }

  bool Fits(const Event& event) {
    const bool fits = event.size <= op_stream::kMaxSize && event.alignment_log2 <= op_stream::kMaxAlignmentLog2;
    oddities_.too_large += fits ? 0 : 1;
    return fits;
  }

  void Get(size_t i, uint32_t thread, OpKind op) {
    const Event& event = events_[i];
    if (!Fits(event)) return;
    const std::optional<uint32_t> slot = pools_[thread].Take();
    if (!slot) {
      ++oddities_.too_many;
      return;
    }
    uint32_t block = static_cast<uint32_t>(blocks_.size());
    if (!unused_.empty()) {
      block = unused_.back();
      unused_.pop_back();
    } else {
      blocks_.emplace_back();
    }
    blocks_[block] = {thread, *slot, takers_[i], kNone};
    Hold(thread, *slot) = block;
    PutIn(event.block, block);
    switch (op) {
      case OpKind::kMalloc: Emit(op, thread, {*slot, event.size}); return;
      case OpKind::kCalloc: Emit(op, thread, {*slot, event.size, 1}); return;
      default: Emit(op, thread, {*slot, event.size, event.alignment_log2}); return;
    }
  }

  uint32_t& Hold(uint32_t thread, uint32_t slot) {
    if (slot >= held_[thread].size()) held_[thread].resize(slot + 1, kNone);
    return held_[thread][slot];
  }

  // False when there is no room; the block is then as it was.
  bool Hand(uint32_t block, uint32_t to) {
    Block& moved = blocks_[block];
    const std::optional<uint32_t> slot = pools_[to].TakeForHand();
    if (!slot) return false;
    Emit(OpKind::kHand, moved.thread, {moved.slot, to, *slot});
    Hold(moved.thread, moved.slot) = kNone;
    pools_[moved.thread].Release(moved.slot);
    Hold(to, *slot) = block;
    moved.thread = to;
    moved.slot = *slot;
    return true;
  }

  void Drop(uint32_t block) {
    Hold(blocks_[block].thread, blocks_[block].slot) = kNone;
    pools_[blocks_[block].thread].Release(blocks_[block].slot);
    unused_.push_back(block);
  }

  // The block that is given up, in a slot of `thread`; kNone when there is none.
  uint32_t Fetch(uint64_t address, uint32_t thread) {
    const uint32_t block = TakeOut(address);
    if (block == kNone) {
      ++oddities_.unknown_blocks;
      return kNone;
    }
    if (blocks_[block].thread == thread) return block;
    // Who held it can have ended only if it was not known who would take it: ticks disagree.
    const bool runs = blocks_[block].thread == 0 || running_[blocks_[block].thread];
    if (runs && Hand(block, thread)) return block;
    ++(runs ? oddities_.too_many : oddities_.seen_twice);
    return kNone;
  }

  void Add(size_t i, Thread& thread) {
    const Event& event = events_[i];
    const uint32_t number = thread.number;
    running_[number] = true;
    switch (event.kind) {
      case Event::Kind::kGet: Get(i, number, event.op); return;
      case Event::Kind::kGiveUp: {
        const uint32_t block = Fetch(event.block, number);
        if (block == kNone) return;
        Emit(event.op, number, {blocks_[block].slot});
        Drop(block);
        return;
      }
      case Event::Kind::kLift: thread.lifted = Fetch(event.block, number); return;
      case Event::Kind::kLower: Lower(i, thread); return;
      case Event::Kind::kTrim: Emit(OpKind::kTrim, number, {event.size}); return;
      case Event::Kind::kFork: Emit(OpKind::kFork, number, {}); return;
      case Event::Kind::kNothing: return;
    }
  }

  void Lower(size_t i, Thread& thread) {
    const uint32_t block = std::exchange(thread.lifted, kNone);
    if (block == kNone) {
      Get(i, thread.number, OpKind::kMalloc);
      return;
    }
    const Event& event = events_[i];
    if (!Fits(event)) {
      Emit(OpKind::kFree, thread.number, {blocks_[block].slot});
      Drop(block);
      return;
    }
    // In a stream a realloc to 0 bytes frees, and this one got a block.
    Emit(OpKind::kRealloc, thread.number, {blocks_[block].slot, std::max<uint64_t>(event.size, 1)});
    blocks_[block].taker = takers_[i];
    PutIn(event.block, block);
  }

  // Blocks that others give up later go to them now.
  void End(uint32_t number) {
    for (size_t slot = 0; slot < held_[number].size(); ++slot) {
      const uint32_t block = held_[number][slot];
      if (block == kNone || blocks_[block].taker == kNone) continue;
      const uint32_t to = threads_[blocks_[block].taker].number;
      if (to != number) Hand(block, to);
    }
    Emit(OpKind::kEnd, number, {});
    running_[number] = false;
  }

  void SetHeader() {
    op_stream::Header& header = stream_.header;
    header = {
        .threads = static_cast<uint32_t>(held_.size()), .slots = 1, .max_size = 0, .max_live = op_stream::kMaxLive};
    for (const std::vector<uint32_t>& slots : held_) {
      header.slots = std::max(header.slots, static_cast<uint32_t>(slots.size()));
    }
    for (const Event& event : events_) {
      if (event.size <= op_stream::kMaxSize && event.kind != Event::Kind::kTrim) {
        header.max_size = std::max(header.max_size, event.size);
      }
    }
    // calloc's one element counts as well.
    header.max_size = std::max<uint64_t>(header.max_size, 1);
    header.max_live = op_stream::MakePlan(stream_).peak_live;
    for (op_stream::Op& op : stream_.ops) {
      if (op.kind == OpKind::kTrim) op.operands[0] = std::min(op.operands[0], header.max_live);
    }
  }

  const std::vector<Event>& events_;
  Oddities& oddities_;
  Stream stream_;
  std::unordered_map<uint32_t, Thread> threads_;
  std::vector<uint32_t> order_;   // recorded threads by their first event
  std::vector<uint32_t> takers_;  // for each event that gets a block
  std::vector<Block> blocks_;
  std::vector<uint32_t> unused_;                 // blocks
  std::unordered_map<uint64_t, uint32_t> live_;  // address to its oldest block
  std::vector<SlotPool> pools_;                  // of each thread of the stream
  std::vector<std::vector<uint32_t>> held_;      // the block in each slot
  std::array<bool, op_stream::kMaxThreads> running_{};
};

}  // namespace

Stream BuildStream(const std::vector<Event>& events, Oddities* oddities) { return Builder(events, oddities).Run(); }

std::string Oddities::ToText() const {
  std::string text;
  const auto add = [&text](uint64_t count, const char* what) {
    if (count != 0) absl::StrAppend(&text, text.empty() ? "" : ", ", count, " ", what);
  };
  add(unknown_blocks, "calls with blocks from before the recording");
  add(seen_twice, "blocks at addresses that were in use");
  add(failed, "calls that got no memory");
  add(free_null, "times free(NULL)");
  add(too_large, "blocks too large or too strictly aligned for a stream");
  add(too_many, "blocks too many for a stream");
  add(folded_threads, "threads too many for a stream, done by its first");
  add(lost, "calls lost while recording");
  return text;
}

}  // namespace hakmem::recording
