// Which addresses belong to live blocks, kept outside of the allocator in mappings of its own.
//
// A bit for each 8 bytes. A block is entered after it was handed out and removed before it is given back, so two blocks
// that share a bit were alive at the same time. All operations are atomic on words; no order is needed beyond that,
// because an allocator that passes memory from one thread to another orders the two calls itself.
#ifndef TESTING_OP_STREAM_SHADOW_MAP_H_
#define TESTING_OP_STREAM_SHADOW_MAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hakmem::op_stream {

class ShadowMap {
 public:
  ShadowMap();
  ~ShadowMap();
  ShadowMap(const ShadowMap&) = delete;
  ShadowMap& operator=(const ShadowMap&) = delete;

  // False when a byte of the block is part of a live block, or is no address of the program's; nothing is then entered.
  [[nodiscard]] bool Enter(const void* p, size_t size);

  // False when not all of the block was entered.
  bool Remove(const void* p, size_t size);

 private:
  using Word = std::atomic<uint64_t>;

  static constexpr unsigned kGranuleShift = 3;
  static constexpr unsigned kRegionShift = 22;
  static constexpr unsigned kAddressBits = 47;
  static constexpr size_t kRegions = size_t{1} << (kAddressBits - kRegionShift);
  static constexpr size_t kWordsPerRegion = size_t{1} << (kRegionShift - kGranuleShift - 6);

  Word* WordOf(uintptr_t granule);
  template <class Visit>
  bool ForEachWord(uintptr_t first, uintptr_t end, Visit visit);

  std::atomic<Word*>* regions_;
};

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_SHADOW_MAP_H_
