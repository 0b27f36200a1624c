// hakmem with a fault put in front of it, which SOAK_FAULT names: for the test that a soak finds it.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>

#include "testing/soak/round.h"

namespace hakmem::soak {
namespace {

constexpr int kSoundCalls = 500;

// Whether it is time for the fault.
bool Due() {
  static std::atomic<int> calls{0};
  return calls.fetch_add(1, std::memory_order_relaxed) >= kSoundCalls;  // a count
}

void* DirtyCalloc(size_t count, size_t size) {
  void* p = op_stream::HakAllocator().calloc(count, size);
  if (p != nullptr && count * size > 10 && Due()) static_cast<char*>(p)[10] = 1;
  return p;
}

void* AbortingCalloc(size_t count, size_t size) {
  if (Due()) abort();
  return op_stream::HakAllocator().calloc(count, size);
}

void* HangingCalloc(size_t count, size_t size) {
  while (Due()) sleep(1);
  return op_stream::HakAllocator().calloc(count, size);
}

}  // namespace

const op_stream::Allocator& AllocatorUnderTest() {
  static const op_stream::Allocator allocator = [] {
    op_stream::Allocator broken = op_stream::HakAllocator();
    const char* const fault = getenv("SOAK_FAULT");
    if (fault == nullptr) return broken;
    if (strcmp(fault, "dirty") == 0) broken.calloc = DirtyCalloc;
    if (strcmp(fault, "abort") == 0) broken.calloc = AbortingCalloc;
    if (strcmp(fault, "hang") == 0) broken.calloc = HangingCalloc;
    return broken;
  }();
  return allocator;
}

}  // namespace hakmem::soak
