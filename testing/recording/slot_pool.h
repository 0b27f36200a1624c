// Gives out the slots of one thread of a stream.
//
// Blocks of the thread's own take the slot that was freed last: the table of a replay stays small and warm. A slot for
// a block that another thread hands over is reused late, because who hands over has to wait until the block that was
// in the slot before is gone: a slot reused at once would tie the two threads together step by step.
#ifndef TESTING_RECORDING_SLOT_POOL_H_
#define TESTING_RECORDING_SLOT_POOL_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "testing/op_stream/op_stream.h"

namespace hakmem::recording {

class SlotPool {
 public:
  // `most` slots; one for a block handed over is reused only when more than `spread` of them are free.
  explicit SlotPool(uint32_t most = op_stream::kMaxSlots, uint32_t spread = 64) : most_(most), spread_(spread) {}

  std::optional<uint32_t> Take() {
    if (!own_.empty()) return TakeBack(&own_);
    if (used_ < most_) return used_++;
    return TakeFront();
  }

  std::optional<uint32_t> TakeForHand() {
    if (handed_.size() > spread_) return TakeFront();
    if (used_ < most_) {
      if (is_handed_.size() <= used_) is_handed_.resize(used_ + 1);
      is_handed_[used_] = true;
      return used_++;
    }
    if (!handed_.empty()) return TakeFront();
    return own_.empty() ? std::nullopt : std::optional<uint32_t>(TakeBack(&own_));
  }

  void Release(uint32_t slot) {
    if (slot < is_handed_.size() && is_handed_[slot]) {
      handed_.push_back(slot);
    } else {
      own_.push_back(slot);
    }
  }

 private:
  static uint32_t TakeBack(std::vector<uint32_t>* from) {
    const uint32_t slot = from->back();
    from->pop_back();
    return slot;
  }
  std::optional<uint32_t> TakeFront() {
    if (handed_.empty()) return std::nullopt;
    const uint32_t slot = handed_.front();
    handed_.pop_front();
    return slot;
  }

  uint32_t most_;
  uint32_t spread_;
  uint32_t used_ = 0;
  std::vector<uint32_t> own_;
  std::deque<uint32_t> handed_;
  std::vector<bool> is_handed_;  // slots that serve blocks handed over
};

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_SLOT_POOL_H_
