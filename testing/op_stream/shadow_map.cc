#include "testing/op_stream/shadow_map.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace hakmem::op_stream {
namespace {

void* MapZeroed(size_t size) {
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

}  // namespace

ShadowMap::ShadowMap() : regions_(static_cast<std::atomic<Word*>*>(MapZeroed(kRegions * sizeof(*regions_)))) {}

ShadowMap::~ShadowMap() {
  // Most of the table was never touched: pages that were are found without touching the others.
  constexpr size_t kPage = 4096;
  constexpr size_t kPages = kRegions * sizeof(*regions_) / kPage;
  static_assert(kRegions * sizeof(*regions_) % kPage == 0);
  constexpr size_t kAtOnce = 4096;
  unsigned char resident[kAtOnce];
  for (size_t at = 0; at < kPages; at += kAtOnce) {
    char* from = reinterpret_cast<char*>(regions_) + at * kPage;
    if (mincore(from, kAtOnce * kPage, resident) != 0) continue;
    for (size_t page = 0; page < kAtOnce; ++page) {
      if ((resident[page] & 1) == 0) continue;
      auto* entries = reinterpret_cast<std::atomic<Word*>*>(from + page * kPage);
      for (size_t i = 0; i < kPage / sizeof(*entries); ++i) {
        Word* words = entries[i].load(std::memory_order_relaxed);  // no thread uses the map any more
        if (words != nullptr) munmap(words, kWordsPerRegion * sizeof(Word));
      }
    }
  }
  munmap(regions_, kRegions * sizeof(*regions_));
}

ShadowMap::Word* ShadowMap::WordOf(uintptr_t granule) {
  std::atomic<Word*>& slot = regions_[granule >> (kRegionShift - kGranuleShift)];
  Word* words = slot.load(std::memory_order_acquire);  // acquire: the words are zero where they can be found
  if (words == nullptr) {
    Word* fresh = static_cast<Word*>(MapZeroed(kWordsPerRegion * sizeof(Word)));
    // Acquire and release: as in the load, for both who makes the words and who finds them made.
    if (slot.compare_exchange_strong(words, fresh, std::memory_order_acq_rel, std::memory_order_acquire)) {
      words = fresh;
    } else {
      munmap(fresh, kWordsPerRegion * sizeof(Word));
    }
  }
  return &words[(granule >> 6) % kWordsPerRegion];
}

// Calls visit(word, mask) for the words of granules [first, end) until it returns false.
template <class Visit>
bool ShadowMap::ForEachWord(uintptr_t first, uintptr_t end, Visit visit) {
  while (first < end) {
    const unsigned from = first % 64;
    const uintptr_t count = std::min<uintptr_t>(64 - from, end - first);
    const uint64_t mask = (count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1) << from;
    if (!visit(WordOf(first), mask)) return false;
    first += count;
  }
  return true;
}

bool ShadowMap::Enter(const void* p, size_t size) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  if (address >> kAddressBits != 0 || size >> kAddressBits != 0 || (address + size) >> kAddressBits != 0) return false;
  const uintptr_t first = address >> kGranuleShift;
  const uintptr_t end = std::max(first + 1, (address + size) >> kGranuleShift);
  uintptr_t entered = first;
  const bool all = ForEachWord(first, end, [&](Word* word, uint64_t mask) {
    // Relaxed: see the head of shadow_map.h.
    const uint64_t before = word->fetch_or(mask, std::memory_order_relaxed);
    if ((before & mask) != 0) {
      word->fetch_and(~(mask & ~before), std::memory_order_relaxed);  // relaxed: as above
      return false;
    }
    entered += static_cast<uintptr_t>(__builtin_popcountll(mask));
    return true;
  });
  if (!all) {
    ForEachWord(first, entered, [](Word* word, uint64_t mask) {
      word->fetch_and(~mask, std::memory_order_relaxed);  // relaxed: as above
      return true;
    });
  }
  return all;
}

bool ShadowMap::Remove(const void* p, size_t size) {
  const uintptr_t first = reinterpret_cast<uintptr_t>(p) >> kGranuleShift;
  const uintptr_t end = std::max(first + 1, (reinterpret_cast<uintptr_t>(p) + size) >> kGranuleShift);
  bool all = true;
  ForEachWord(first, end, [&](Word* word, uint64_t mask) {
    all &= (word->fetch_and(~mask, std::memory_order_relaxed) & mask) == mask;  // relaxed: see the head of shadow_map.h
    return true;
  });
  return all;
}

}  // namespace hakmem::op_stream
