// For tests: which pages of a range are resident, and bytes that tell their place.
#ifndef HAKMEM_API_RESIDENT_PAGES_H_
#define HAKMEM_API_RESIDENT_PAGES_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hakmem {

// How many whole pages of [p, p + size) are resident (mincore(2)).
inline size_t ResidentPages(const void* p, size_t size) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(p) + page - 1) & ~(page - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(p) + size) & ~(page - 1);
  if (end <= first) return 0;
  std::vector<unsigned char> in((end - first) / page);
  if (mincore(reinterpret_cast<void*>(first), end - first, in.data()) != 0) return SIZE_MAX;
  size_t count = 0;
  for (unsigned char state : in) count += state & 1;
  return count;
}

// Samples of a block: some bytes at either end, and one in every 251 between.
template <class Visit>
void ForSamples(size_t size, Visit visit) {
  constexpr size_t kEnds = 300;
  for (size_t i = 0; i < size; i += i < kEnds || i + kEnds >= size ? 1 : (size - i < kEnds + 251 ? 1 : 251)) visit(i);
}

inline unsigned char SampleAt(size_t i, unsigned seed) { return static_cast<unsigned char>(i * 131 + (i >> 8) + seed); }

inline void FillSamples(void* p, size_t size, unsigned seed) {
  ForSamples(size, [&](size_t i) { static_cast<unsigned char*>(p)[i] = SampleAt(i, seed); });
}

// Whether the first `size` bytes still hold the samples of a block that was filled at that or a larger size.
inline bool HoldsSamples(const void* p, size_t size, size_t filled, unsigned seed) {
  bool good = true;
  ForSamples(filled, [&](size_t i) {
    if (i < size && static_cast<const unsigned char*>(p)[i] != SampleAt(i, seed)) good = false;
  });
  return good;
}

}  // namespace hakmem

#endif  // HAKMEM_API_RESIDENT_PAGES_H_
