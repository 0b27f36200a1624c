// A multi-threaded stream of allocation operations, as data.
//
// A stream is one sequence of operations. Each names the thread that performs it; the sequence fixes the order within a
// thread and, between threads, only what has to be fixed: a block that was handed over is used after it was handed
// over, a thread runs between its start and its end, and a barrier holds everybody. Everything else may happen at the
// same time.
//
// Every thread has slots of its own, numbered from 0; a slot holds one block or none. A stream is valid when every
// operand is within its bounds (see OperandLimit); any valid stream can be executed, because an operation that makes no
// sense at its place (an empty slot freed, a thread ended twice) does nothing. plan.h says precisely what.
#ifndef TESTING_OP_STREAM_OP_STREAM_H_
#define TESTING_OP_STREAM_OP_STREAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hakmem::op_stream {

// The numbers stand in files: new kinds go to the end.
enum class OpKind : uint8_t {
  kMalloc,         // slot, size
  kCalloc,         // slot, size of an element, elements
  kRealloc,        // slot, size; on an empty slot it allocates
  kReallocarray,   // slot, size of an element, elements
  kAlignedAlloc,   // slot, size, alignment
  kPosixMemalign,  // slot, size, alignment (8 at least)
  kMemalign,       // slot, size, alignment
  kFree,           // slot
  kFreeSized,      // slot; with the size, and for a block of aligned_alloc the alignment, that was asked for
  kUsableSize,     // slot; compared with what it was when the block was made
  kFill,           // slot, pattern; writes all usable bytes
  kCheck,          // slot; compares all usable bytes with what was written
  kHand,           // slot, thread, slot there; the block moves
  kStart,          // thread
  kEnd,            // the thread that performs it ends; its blocks stay in their slots
  kTrim,           // bytes to keep
  kFork,           // the child checks and frees the blocks of its thread, allocates, and exits
  kBarrier,        // waits for all threads that run
  kRefused,        // slot, which; a call that has to fail, or to do nothing
};
inline constexpr size_t kOpKinds = 19;

// What a kRefused operation calls.
enum class Refusal : uint8_t {
  kMallocTooLarge,         // malloc(PTRDIFF_MAX + 1)
  kMallocAll,              // malloc(SIZE_MAX)
  kCallocOverflow,         // calloc with a product beyond SIZE_MAX
  kCallocTooLarge,         // calloc(PTRDIFF_MAX + 1, 1)
  kReallocTooLarge,        // realloc of the slot's block, which has to survive
  kReallocarrayOverflow,   // the same by reallocarray
  kAlignedAllocAlignment,  // aligned_alloc(3, 8): EINVAL
  kAlignedAllocTooLarge,   // aligned_alloc(64, SIZE_MAX - 63)
  kPosixAlignment,         // posix_memalign with alignment 24: EINVAL
  kPosixSmallAlignment,    // posix_memalign with alignment 4: EINVAL
  kPosixTooLarge,          // posix_memalign of PTRDIFF_MAX + 1 bytes
  kFreeNull,               // free(NULL)
  kUsableSizeOfNull,       // 0
};
inline constexpr size_t kRefusals = 13;

enum class OperandType : uint8_t {
  kNone,
  kSlot,       // of the performing thread
  kSize,       // bytes
  kCount,      // elements; the product with the size before it is bounded like a size
  kAlignment,  // binary logarithm of bytes
  kPattern,    // seed of the bytes written
  kThread,
  kThereSlot,  // slot of the thread named before it
  kKeep,       // bytes
  kRefusal,
};

inline constexpr size_t kMaxOperands = 3;

struct OpRow {
  const char* name;  // in the text form
  std::array<OperandType, kMaxOperands> operands;
};
const OpRow& RowOf(OpKind kind);

struct Op {
  OpKind kind = OpKind::kMalloc;
  uint32_t thread = 0;
  std::array<uint64_t, kMaxOperands> operands = {};

  bool operator==(const Op&) const = default;
};

// Bounds of a stream.
struct Header {
  uint32_t threads = 1;       // 1 to kMaxThreads; thread 0 runs from the beginning to the end
  uint32_t slots = 1;         // of each thread, 1 to kMaxSlots
  uint64_t max_size = 65536;  // of a block, up to kMaxSize
  uint64_t max_live =
      uint64_t{1} << 30;  // bytes asked for and not freed; an operation that would exceed it does nothing

  bool operator==(const Header&) const = default;
};
inline constexpr uint32_t kMaxThreads = 256;
inline constexpr uint32_t kMaxSlots = 1 << 22;
inline constexpr uint64_t kMaxSize = uint64_t{1} << 40;
inline constexpr uint64_t kMaxLive = uint64_t{1} << 44;
inline constexpr uint64_t kMaxAlignmentLog2 = 22;

struct Stream {
  Header header;
  std::vector<Op> ops;

  bool operator==(const Stream&) const = default;
};

// The greatest value that operand `i` of `op` may have in a stream of `header`; it may depend on the operands before
// it.
uint64_t OperandLimit(const Header& header, const Op& op, size_t i);

// Empty when valid, else what is wrong.
std::string FindError(const Header& header);
std::string FindError(const Header& header, const Op& op);
std::string FindError(const Stream& stream);

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_OP_STREAM_H_
