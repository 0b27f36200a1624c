// What the targets whose input is a stream reduce it to; //testing:trace makes seeds within the same bounds.
#ifndef HAKMEM_FUZZ_STREAM_LIMITS_H_
#define HAKMEM_FUZZ_STREAM_LIMITS_H_

#include <cstdint>

#include "testing/op_stream/codec.h"

namespace hakmem::fuzz {

constexpr op_stream::LooseLimits StreamLimits(uint32_t threads) {
  return {.threads = threads, .slots = 64, .max_size = uint64_t{5} << 20, .max_live = uint64_t{32} << 20, .ops = 2000};
}

}  // namespace hakmem::fuzz

#endif  // HAKMEM_FUZZ_STREAM_LIMITS_H_
