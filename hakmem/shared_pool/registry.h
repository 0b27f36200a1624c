// The registry of superslab metadata: numbered, at stable addresses, reused but never freed.
#ifndef HAKMEM_SHARED_POOL_REGISTRY_H_
#define HAKMEM_SHARED_POOL_REGISTRY_H_

#include <atomic>
#include <cstdint>

#include "hakmem/superslab/slab.h"

namespace hakmem::pool {

class Registry {
 public:
  constexpr Registry() = default;

  // Enters fresh metadata under the next number. False when the registry is full or without memory.
  [[nodiscard]] bool Add(Superslab* superslab);

  // Numbers handed out so far.
  uint32_t size() const { return size_.load(std::memory_order_acquire); }  // acquire: the chunks below are visible

  // The superslab of a number below size(); nullptr while it is being entered.
  Superslab* At(uint32_t number) const {
    const Chunk* chunk = chunks_[number / kChunk].load(std::memory_order_acquire);  // acquire: the chunk's contents
    return chunk == nullptr ? nullptr : chunk->entries[number % kChunk].load(std::memory_order_acquire);  // its set-up
  }

  // A hint, a bit a superslab: it may have slots to take (UNUSED or EMPTY); the slots' own words decide. Sequentially
  // consistent: who gives a slot back and then finds the bit set is seen by who clears the bit and then looks for
  // slots.
  void SetHint(uint32_t number) {
    std::atomic<uint64_t>& word = hints_[number / 64];
    const uint64_t bit = uint64_t{1} << (number % 64);
    if ((word.load(std::memory_order_seq_cst) & bit) == 0) word.fetch_or(bit, std::memory_order_seq_cst);  // as above
  }
  void ClearHint(uint32_t number) {
    hints_[number / 64].fetch_and(~(uint64_t{1} << (number % 64)), std::memory_order_seq_cst);  // as above
  }
  // The lowest hinted number at or above `from`; size() when there is none.
  uint32_t NextHint(uint32_t from) const;

 private:
  static constexpr uint32_t kMax = 1u << 22;  // 8 TiB of superslabs
  static constexpr uint32_t kChunk = 1024;
  struct Chunk {
    std::atomic<Superslab*> entries[kChunk];
  };
  std::atomic<uint32_t> size_{0};
  std::atomic<Chunk*> chunks_[kMax / kChunk] = {};
  std::atomic<uint64_t> hints_[kMax / 64] = {};
};

}  // namespace hakmem::pool

#endif  // HAKMEM_SHARED_POOL_REGISTRY_H_
