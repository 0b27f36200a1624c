#include "hakmem/shared_pool/registry.h"

#include "hakmem/mmap_gate/mmap_gate.h"

namespace hakmem::pool {

bool Registry::Add(Superslab* superslab) {
  uint32_t number = size_.load(std::memory_order_relaxed);  // a look: the exchange below decides
  for (;;) {
    if (number == kMax) return false;
    std::atomic<Chunk*>& slot = chunks_[number / kChunk];
    if (slot.load(std::memory_order_acquire) == nullptr) {  // acquire: as in At
      Chunk* fresh = static_cast<Chunk*>(gate::AllocateMetadata(sizeof(Chunk), 64));
      if (fresh == nullptr) return false;
      Chunk* expected = nullptr;
      // Release: the chunk is zero when it can be found. A second chunk that lost the race was never touched.
      slot.compare_exchange_strong(expected, fresh, std::memory_order_release, std::memory_order_relaxed);
    }
    // Release: who sees the number finds the chunk that its entry goes to. The entry's own store below publishes the
    // rest.
    if (size_.compare_exchange_weak(number, number + 1, std::memory_order_release, std::memory_order_relaxed)) break;
  }
  superslab->number = number;
  Chunk* const chunk = chunks_[number / kChunk].load(std::memory_order_acquire);  // acquire: as in At
  chunk->entries[number % kChunk].store(superslab,
                                        std::memory_order_release);  // the metadata is set up when it is found
  return true;
}

uint32_t Registry::NextHint(uint32_t from) const {
  const uint32_t end = size();
  while (from < end) {
    const uint64_t word = hints_[from / 64].load(std::memory_order_relaxed) >> (from % 64);  // a hint
    if (word != 0) {
      from += static_cast<uint32_t>(__builtin_ctzll(word));
      return from < end ? from : end;
    }
    from = (from / 64 + 1) * 64;
  }
  return end;
}

}  // namespace hakmem::pool
