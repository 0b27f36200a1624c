// CRC-32C (the Castagnoli polynomial of RFC 3720, reflected), byte by byte over a table: the check of a stream's file.
// Plain enough to be used by a recorder that may not allocate.
#ifndef TESTING_OP_STREAM_CHECKSUM_H_
#define TESTING_OP_STREAM_CHECKSUM_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace hakmem::op_stream {

inline constexpr std::array<uint32_t, 256> kCrc32cTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
    table[i] = crc;
  }
  return table;
}();

// The sum of `size` bytes at `data`, going on from the sum of what stands before them (0 at the beginning).
inline uint32_t Crc32c(const void* data, size_t size, uint32_t before = 0) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint32_t crc = ~before;
  for (size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ kCrc32cTable[(crc ^ bytes[i]) & 255];
  return ~crc;
}

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_CHECKSUM_H_
