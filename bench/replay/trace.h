// The two forms of a recorded program: raw events as the recorder writes them, and the compact trace that is replayed.
#ifndef HAKMEM_BENCH_REPLAY_TRACE_H_
#define HAKMEM_BENCH_REPLAY_TRACE_H_

#include <cstdint>

namespace hakmem::bench {

enum class Op : uint8_t {
  kMalloc = 0,
  kCalloc = 1,
  kRealloc = 2,
  kFree = 3,
  kAligned = 4,
};

// One call as it happened. Pointers are those of the recorded process and are only compared.
struct RawEvent {
  uint64_t op_and_size;  // Op in the upper 8 bits, bytes below
  uint64_t result;       // the block; of a free, the block freed
  uint64_t before;       // of a realloc, the block given; of an aligned allocation, the alignment

  static RawEvent Make(Op op, uint64_t size, uint64_t result, uint64_t before) {
    return {static_cast<uint64_t>(op) << 56 | (size & ((uint64_t{1} << 56) - 1)), result, before};
  }
  Op op() const { return static_cast<Op>(op_and_size >> 56); }
  uint64_t size() const { return op_and_size & ((uint64_t{1} << 56) - 1); }
};

// First in a compact trace.
struct TraceHeader {
  static constexpr uint64_t kMagic = 0x31'45'43'41'52'54'4B'48;  // "HKTRACE1"
  uint64_t magic;
  uint64_t events;
  uint64_t slots;  // most blocks alive at a time
};

// One call of the replay. Blocks are named by slots, which are reused, so the table of blocks stays small.
struct Event {
  uint32_t op : 3;
  uint32_t alignment_log2 : 5;
  uint32_t slot : 24;
  uint32_t size;

  static constexpr uint32_t kMostSlots = 1u << 24;
};
static_assert(sizeof(Event) == 8);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_REPLAY_TRACE_H_
