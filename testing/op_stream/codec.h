// The binary forms of a stream.
//
// An operation is one byte, its kind, with the top bit set when the thread is not that of the operation before (thread
// 0 at the beginning); then the thread if so; then its operands. All numbers are LEB128: seven bits a byte, the lowest
// first.
//
// File form, for recordings; a file that was cut or damaged still gives the operations before the damage:
//   "HKOS", version byte, threads, slots, max_size, max_live, sum
//   chunks: bytes of payload, operations, payload (each begins at thread 0), sum
//   an empty chunk ends the file; its count is that of all operations
// A sum is the CRC-32C of everything in its header or chunk before it, four bytes, the lowest first.
//
// Loose form, for fuzzing: threads - 1, slots - 1, max_size, max_live, then operations until the bytes end. Any bytes
// are a stream: numbers are reduced to their bounds, and what is missing at the end is 0.
#ifndef TESTING_OP_STREAM_CODEC_H_
#define TESTING_OP_STREAM_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "testing/op_stream/op_stream.h"

namespace hakmem::op_stream {

inline constexpr char kFileMagic[] = "HKOS";
inline constexpr uint8_t kFileVersion = 1;

struct Decoded {
  Stream stream;          // valid; on an error, the part before it
  std::string error;      // empty when the file is whole and sound
  bool readable = false;  // the header at least was sound
};

// `stream` has to be valid.
std::string EncodeFile(const Stream& stream);
Decoded DecodeFile(std::string_view bytes);

// Bounds that a loose stream is reduced to.
struct LooseLimits {
  uint32_t threads = 4;
  uint32_t slots = 64;
  uint64_t max_size = 1 << 20;
  uint64_t max_live = 64 << 20;
  size_t ops = 4096;
};

std::string EncodeLoose(const Stream& stream);
Stream DecodeLoose(std::string_view bytes, const LooseLimits& limits);

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_CODEC_H_
