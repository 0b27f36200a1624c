// What targets share whose input is a stream of operations (testing/op_stream, its loose form).
#ifndef HAKMEM_FUZZ_STREAMS_H_
#define HAKMEM_FUZZ_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/stream_limits.h"
#include "testing/op_stream/codec.h"
#include "testing/op_stream/executor.h"

namespace hakmem::fuzz {

inline op_stream::Stream DecodeStream(const uint8_t* data, size_t size, uint32_t threads) {
  return op_stream::DecodeLoose({reinterpret_cast<const char*>(data), size}, StreamLimits(threads));
}

// A failure aborts; what takes a kernel's time happens a few times only.
inline constexpr op_stream::ExecuteOptions kFuzzing = {.abort_on_failure = true, .forks = 1, .starts = 8};

}  // namespace hakmem::fuzz

#endif  // HAKMEM_FUZZ_STREAMS_H_
