// The slot of a slab in the shared pool: one atomic word with a state and a generation.
//
//     UNUSED --> ACTIVE   taken out of its superslab's mask of unused slots, set up for a class
//     ACTIVE --> EMPTY    all blocks home; keeps its span, waits to be taken again
//     EMPTY  --> ACTIVE   taken again, perhaps for another class of the same span
//     EMPTY  --> UNUSED   given back to its superslab
//
// The generation grows with each transition: whoever remembers a slot remembers its generation, and is refused when the
// slot has had another life since.
#ifndef HAKMEM_SUPERSLAB_SLOT_H_
#define HAKMEM_SUPERSLAB_SLOT_H_

#include <atomic>
#include <cstdint>

namespace hakmem {

enum class SlotState : uint8_t { kUnused = 0, kActive = 1, kEmpty = 2 };

struct SlotValue {
  SlotState state = SlotState::kUnused;
  uint32_t generation = 0;  // 30 bits

  static constexpr SlotValue Unpack(uint32_t word) { return {static_cast<SlotState>(word & 3), word >> 2}; }
  constexpr uint32_t Pack() const { return static_cast<uint32_t>(state) | generation << 2; }
};

template <template <class> class Atomic = std::atomic>
class BasicSlot {
 public:
  SlotValue Peek() const {
    // Acquire: sees what the slot's last user wrote (the slab's geometry, its purged pages), should the transition from
    // this value succeed; and a class that is read meanwhile is that of this state or of a later one, which is refused.
    return SlotValue::Unpack(word_.load(std::memory_order_acquire));
  }

  // Goes from exactly `from` to `to`; false when the slot is not (or no longer) `from`.
  [[nodiscard]] bool Change(SlotValue from, SlotState to) {
    uint32_t seen = from.Pack();
    const uint32_t next = SlotValue{to, (from.generation + 1) & 0x3fffffff}.Pack();
    // Release: what the slot's user wrote is visible to the next, by its Peek. The caller has `from` from a Peek, too,
    // or from a transition of its own.
    return word_.compare_exchange_strong(seen, next, std::memory_order_release, std::memory_order_relaxed);
  }

 private:
  Atomic<uint32_t> word_{0};
};

using Slot = BasicSlot<>;

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_SLOT_H_
