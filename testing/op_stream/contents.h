// What is written into blocks, and how it is found to have changed.
//
// The bytes follow from a seed and their place in the block, so that blocks exchanged, moved or overwritten by one
// another differ from what is expected. Large blocks carry them at their edges only, unless a stream asks for all.
#ifndef TESTING_OP_STREAM_CONTENTS_H_
#define TESTING_OP_STREAM_CONTENTS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hakmem::op_stream {

inline constexpr size_t kNoDamage = SIZE_MAX;

// Bytes [0, edge) and [size - edge, size) hold the pattern of `seed`; all do when the two meet.
struct Contents {
  uint64_t seed = 0;
  size_t size = 0;
  size_t edge = 0;

  bool whole() const { return edge >= size - edge || edge >= size; }
};

inline uint64_t PatternWord(uint64_t seed, size_t word) {
  return (seed ^ word * 0xC2B2AE3D27D4EB4F) * 0x9E3779B97F4A7C15;
}
inline unsigned char PatternByte(uint64_t seed, size_t at) {
  return static_cast<unsigned char>(PatternWord(seed, at / 8) >> (at % 8 * 8));
}

inline void WritePattern(unsigned char* p, uint64_t seed, size_t from, size_t to) {
  for (; from < to && from % 8 != 0; ++from) p[from] = PatternByte(seed, from);
  for (; from + 8 <= to; from += 8) {
    const uint64_t word = PatternWord(seed, from / 8);
    memcpy(p + from, &word, 8);
  }
  for (; from < to; ++from) p[from] = PatternByte(seed, from);
}

// The first byte of [from, to) that does not hold the pattern, kNoDamage when all do.
inline size_t FindDamage(const unsigned char* p, uint64_t seed, size_t from, size_t to) {
  for (; from < to; ++from) {
    for (uint64_t word; from % 8 == 0 && from + 8 <= to; from += 8) {
      memcpy(&word, p + from, 8);
      if (word != PatternWord(seed, from / 8)) break;
    }
    if (from < to && p[from] != PatternByte(seed, from)) return from;
  }
  return kNoDamage;
}

inline void Write(unsigned char* p, const Contents& contents) {
  if (contents.whole()) {
    WritePattern(p, contents.seed, 0, contents.size);
    return;
  }
  WritePattern(p, contents.seed, 0, contents.edge);
  WritePattern(p, contents.seed, contents.size - contents.edge, contents.size);
}

// As FindDamage, of what was written, so far as it lies in the first `size` bytes.
inline size_t FindDamage(const unsigned char* p, const Contents& contents, size_t size) {
  const size_t end = size < contents.size ? size : contents.size;
  if (contents.whole()) return FindDamage(p, contents.seed, 0, end);
  const size_t front = FindDamage(p, contents.seed, 0, end < contents.edge ? end : contents.edge);
  if (front != kNoDamage) return front;
  return FindDamage(p, contents.seed, contents.size - contents.edge, end);
}

// The first byte of [from, to) that is not 0.
inline size_t FindNonZero(const unsigned char* p, size_t from, size_t to) {
  for (; from < to; ++from) {
    for (uint64_t word; from % 8 == 0 && from + 8 <= to; from += 8) {
      memcpy(&word, p + from, 8);
      if (word != 0) break;
    }
    if (from < to && p[from] != 0) return from;
  }
  return kNoDamage;
}

// The same for a block of `size` bytes. Of large ones the edges are looked at, and a byte of each 512.
inline size_t FindNonZero(const unsigned char* p, size_t size) {
  constexpr size_t kEdge = size_t{128} << 10;
  if (size <= 2 * kEdge) return FindNonZero(p, 0, size);
  if (const size_t front = FindNonZero(p, 0, kEdge); front != kNoDamage) return front;
  for (size_t at = kEdge; at < size - kEdge; at += 512) {
    if (p[at] != 0) return at;
  }
  return FindNonZero(p, size - kEdge, size);
}

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_CONTENTS_H_
