// The one table of size classes.
//
// Class 0 is never served: its list stays empty, which sends malloc(0) the slow way without a check of its own.
//
// Lists. Up to 1 KiB a thread has a list for each step of 16 bytes, so that malloc comes from a size to its list with a
// shift. Above, each class has one.
//
// Classes. In steps of 16 bytes to 256, and then eight a doubling, which keeps the waste inside a block at or below
// 12.5 % (one byte more than a class costs an eighth at the most). So between 256 bytes and 1 KiB two or four lists
// share a class: their blocks come from the same slabs and are freed to the same list. A class for each step would
// waste 0.1 % less inside the blocks of the recorded programs, and need up to a quarter more memory where many threads
// have few blocks each. A class has the number of its largest list; the numbers of the others are nobody's.
//
// Up to kMaxListedClass a thread keeps free blocks in lists; above, blocks come from and go to their slab directly, and
// the largest classes are one block a span: a run of slabs.
//
// Waste inside blocks, in percent of the bytes in blocks, weighed by the time that they are alive, over recorded
// programs (//bench:tune; a test derives these lines anew):
//   cc1plus   2.9
//   python3   6.7
//   sqlite3   6.3
//   mean      5.3
// At worst: 11.1 above 128 bytes. At the end of a span: 12.5 at worst, 2.4 in the mean of the 112 classes.
#ifndef HAKMEM_SUPERSLAB_SIZE_CLASSES_H_
#define HAKMEM_SUPERSLAB_SIZE_CLASSES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "hakmem/mmap_gate/window.h"
#include "hakmem/platform/compiler.h"

namespace hakmem {

inline constexpr size_t kMinBlock = 16;
inline constexpr size_t kMaxStepped = 1024;                    // last size of the 16-byte steps
inline constexpr unsigned kSteppedClasses = kMaxStepped / 16;  // lists, and numbers of classes, 1..64
inline constexpr size_t kMaxClassed = kSuperslabSize / 2;      // last size that has a class
inline constexpr unsigned kDoublings = 10;                     // from 1 KiB to 1 MiB
inline constexpr unsigned kClasses = 1 + kSteppedClasses + 8 * kDoublings;
// The largest block that a thread keeps in a list.
inline constexpr size_t kMaxListed = size_t{32} << 10;
inline constexpr unsigned kMaxListedClass = kSteppedClasses + 8 * 5;
inline constexpr unsigned kListedClasses = kMaxListedClass + 1;
inline constexpr unsigned kMaxSpan = kSlabsPerSuperslab / 2;

struct SizeClass {
  uint32_t block_size;  // bytes
  uint16_t capacity;    // blocks a span
  uint8_t span;         // slabs
  // Worst waste of this class in 1/1000: inside a block when a size just above the next smaller class is asked for, and
  // at the end of the span.
  uint16_t inner_waste;
  uint16_t tail_waste;
  // ceil(2^64 / block_size). In place of a division, which costs as much as the rest of a remote free, a product of 128
  // bits tells both: its upper half is the index of the block that holds an offset, and its lower half is below the
  // reciprocal where a block starts. Exact for offsets inside a span: the reciprocal is too large by less than one, and
  // so the product by less than 2^20 units of 2^-64, while from one offset to the next it grows by 2^44 of them or
  // more.
  uint64_t reciprocal;

  constexpr uint32_t IndexOf(size_t offset) const { return static_cast<uint32_t>(Product(offset) >> 64); }

  // Whether a block starts at `offset`.
  constexpr bool IsBlockAt(size_t offset) const {
    const unsigned __int128 product = Product(offset);
    return static_cast<uint64_t>(product) < reciprocal && static_cast<uint32_t>(product >> 64) < capacity;
  }

 private:
  constexpr unsigned __int128 Product(size_t offset) const {
    return static_cast<unsigned __int128>(offset) * reciprocal;
  }
};

namespace internal {

// By list of the 16-byte steps.
inline constexpr std::array<uint8_t, kSteppedClasses + 1> kClassOfStep = [] {
  std::array<uint8_t, kSteppedClasses + 1> table{};
  for (unsigned step = 0; step <= kSteppedClasses; ++step) {
    const unsigned shared = step <= 16 ? 1 : step <= 32 ? 2 : 4;
    table[step] = static_cast<uint8_t>((step + shared - 1) / shared * shared);
  }
  return table;
}();

}  // namespace internal

// The class whose blocks a list holds.
HAK_ALWAYS_INLINE constexpr unsigned ClassOfList(unsigned list) {
  return list <= kSteppedClasses ? internal::kClassOfStep[list] : list;
}

// How many lists share a class.
constexpr unsigned ListsOf(unsigned size_class) {
  unsigned n = 1;
  while (n < size_class && ClassOfList(size_class - n) == size_class) ++n;
  return n;
}

// Whether `number`, below kClasses, is a class that serves, and not one of those that are nobody's.
constexpr bool IsClass(unsigned number) { return number != 0 && ClassOfList(number) == number; }

// The list of `size`, 1 <= size <= kMaxClassed; above kMaxListedClass its class, which has none. 0 gives 0.
HAK_ALWAYS_INLINE constexpr unsigned ListOfSize(size_t size) {
  if (size <= kMaxStepped) return static_cast<unsigned>((size + 15) >> 4);
  const unsigned top = 63 - static_cast<unsigned>(__builtin_clzll(size - 1));  // of sizes in (2^top, 2^(top+1)]
  const unsigned eighth = static_cast<unsigned>((size - 1) >> (top - 3)) - 8;
  return kSteppedClasses + 1 + (top - 10) * 8 + eighth;
}

// The class of `size`, 1 <= size <= kMaxClassed. 0 gives 0.
HAK_ALWAYS_INLINE constexpr unsigned ClassOfSize(size_t size) { return ClassOfList(ListOfSize(size)); }

namespace internal {

constexpr size_t BlockSizeOfClass(unsigned c) {
  if (c <= kSteppedClasses) return size_t{c} * 16;
  const unsigned k = c - kSteppedClasses - 1;
  return (size_t{8} + k % 8 + 1) << (k / 8 + 7);
}

// The bytes of a superslab's blocks, when it has as many spans as fit.
constexpr size_t BytesInSuperslab(size_t size, unsigned span) {
  return kSlabsPerSuperslab / span * (span * kSlabSize / size) * size;
}
// A superslab of which less is in blocks is no use as a huge page.
inline constexpr size_t kWellFilled = kSuperslabSize / 10 * 9;

// The shortest span that fills superslabs as well as the shortest of which the end wastes at most a sixteenth.
constexpr unsigned SpanOf(size_t size) {
  const unsigned least = static_cast<unsigned>((size + kSlabSize - 1) / kSlabSize);
  unsigned span = least;
  while (span < kMaxSpan && (span * kSlabSize) % size > span * kSlabSize / 16) ++span;
  for (unsigned s = least; s < span; ++s) {
    if (BytesInSuperslab(size, s) >= BytesInSuperslab(size, span)) return s;
  }
  return span;
}

constexpr SizeClass MakeSizeClass(unsigned c) {
  if (!IsClass(c)) return {};
  const size_t size = BlockSizeOfClass(c);
  const unsigned span = SpanOf(size);
  const size_t bytes = span * kSlabSize;
  unsigned below = c - 1;
  while (below != 0 && !IsClass(below)) --below;
  const size_t least = below == 0 ? 1 : BlockSizeOfClass(below) + 1;
  return {static_cast<uint32_t>(size),
          static_cast<uint16_t>(bytes / size),
          static_cast<uint8_t>(span),
          static_cast<uint16_t>((size - least) * 1000 / size),
          static_cast<uint16_t>(bytes % size * 1000 / bytes),
          UINT64_MAX / size + 1};
}

constexpr std::array<SizeClass, kClasses> MakeSizeClasses() {
  std::array<SizeClass, kClasses> table{};
  for (unsigned c = 0; c < kClasses; ++c) table[c] = MakeSizeClass(c);
  return table;
}

}  // namespace internal

inline constexpr std::array<SizeClass, kClasses> kSizeClasses = internal::MakeSizeClasses();

// Whether superslabs are well filled by blocks of the class alone. The rest costs nothing but addresses in small pages.
constexpr bool FillsSuperslabs(const SizeClass& row) {
  return internal::BytesInSuperslab(row.block_size, row.span) >= internal::kWellFilled;
}

static_assert(ClassOfSize(kMaxClassed) == kClasses - 1);
static_assert(kSizeClasses[kMaxListedClass].block_size == kMaxListed);

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_SIZE_CLASSES_H_
