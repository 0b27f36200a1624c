// What fuzz targets share: reading decisions off the input, and checks that stop the fuzzer.
#ifndef HAKMEM_FUZZ_INPUT_H_
#define HAKMEM_FUZZ_INPUT_H_

#include <stdio.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

// The harness's own assertion: an abort, so that libFuzzer keeps the input.
#define FUZZ_CHECK(condition)                                                                    \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      fprintf(stderr, "%s:%d: fuzz target found: !(%s)\n", __FILE_NAME__, __LINE__, #condition); \
      abort();                                                                                   \
    }                                                                                            \
  } while (0)

namespace hakmem::fuzz {

// The input as a sequence of decisions. Every input is valid: behind its end stand zeroes.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool done() const { return at_ == end_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }

  uint8_t Byte() { return done() ? uint8_t{0} : *at_++; }

  // An unsigned integer of `bytes` bytes, the lowest first.
  uint64_t Number(unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value |= uint64_t{Byte()} << (8 * i);
    return value;
  }

  // A number below `bound`, which is at least 1.
  size_t Below(size_t bound) { return static_cast<size_t>(Number(bound <= 256 ? 1 : bound <= 65536 ? 2 : 4)) % bound; }

  const char* rest() const { return reinterpret_cast<const char*>(at_); }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace hakmem::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // HAKMEM_FUZZ_INPUT_H_
