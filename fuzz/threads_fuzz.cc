// Several threads that hand blocks over, start and end.

#include "fuzz/input.h"
#include "fuzz/streams.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hakmem::op_stream::Execute(hakmem::fuzz::DecodeStream(data, size, 4), hakmem::op_stream::HakAllocator(),
                             hakmem::fuzz::kFuzzing);
  return 0;
}
