// The recording of a program's allocation calls as a file. Shared with the tools that read it.
//
// A recording is a FileHeader, alone in the first `chunk_bytes` of the file, then chunks of `chunk_bytes` each. A chunk
// is a ChunkHeader and records behind it. Chunks belong to streams: the chunks of a stream, in the order of their
// sequence, hold one run of records, oldest first. One thread at a time writes to a stream; a kThread record says which
// one from there on. Threads that end leave their stream to others, so that short threads do not cost a chunk each.
//
// A record is a byte for the operation (Op, and kFailed where it says so), then its fields, each a LEB128 number, in
// the order of kOpRows. The first field of all is the time in ticks since the record before in the chunk, or since the
// chunk's `tick`. Blocks are written as the difference to the block before in the chunk (or to 0), in units of 16
// bytes, signs folded in (Fold).
//
// Complete at any time. The file is mapped and was zero; the writer stores the byte of the operation after all others
// of a record, and the magic number of a chunk after all else of its header. So what the kernel has of a process that
// was killed reads like this: a chunk without magic number was not begun, skip it; a chunk's records end at its `used`
// if that is not 0, else at the first 0 byte in place of an operation, and everything before is whole.
//
// Order. Ticks are those of one clock for all threads. The tick of an allocation was taken after the block was got,
// that of a free before the block could be handed out again. A realloc that moved has both: the old block was given up
// `took` ticks before the record's tick, the new block was there at the tick. So the streams merged by ticks give each
// block its right life, if at equal ticks of different streams what gives a block up stands before what gets one;
// within a stream the order is that of the file. (In a program that frees twice, or when events were lost, an address
// may be got while it is live, or given up while it is not: the first means that a free is missing, the second means
// nothing.)
//
// All numbers outside of records have the byte order of the machine that wrote them; kByteOrder tells.
#ifndef HAKMEM_TRACE_TRACE_FORMAT_H_
#define HAKMEM_TRACE_TRACE_FORMAT_H_

#include <cstddef>
#include <cstdint>

namespace hakmem::trace {

inline constexpr char kFileMagic[8] = {'H', 'A', 'K', 'T', 'R', 'A', 'C', 'E'};
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kByteOrder = 0x01020304;
inline constexpr uint32_t kChunkMagic = 0x4b4e4843;
inline constexpr size_t kChunkBytes = 64 * 1024;

// Constant once the recording has begun.
struct FileStart {
  char magic[8];
  uint32_t byte_order;
  uint32_t version;
  uint32_t chunk_bytes;
  uint32_t page_size;
  uint32_t process;
  uint32_t forked_from;  // the process, if this one was recorded from a fork on: its first blocks are not known; else 0
  uint64_t tick;         // at the start
  uint64_t time_ns;      // at the start, CLOCK_MONOTONIC
  uint64_t unix_ns;      // at the start, since 1970
  uint64_t checksum;     // Checksum of all bytes before
};
static_assert(sizeof(FileStart) == 64);

// Changes while the recording goes on.
struct FileState {
  uint64_t tick;         // later than the start, with its time: together they give the length of a tick
  uint64_t time_ns;      //
  uint64_t lost;         // calls that got no record
  uint32_t ended_error;  // errno of what ended the recording early, 0: nothing did
  uint32_t exited;       // 1: the process came to its exit(3)
  uint64_t reserved[4];
};
static_assert(sizeof(FileState) == 64);

struct FileHeader {
  FileStart start;
  FileState state;
};

struct ChunkHeader {
  uint32_t magic;
  uint32_t stream;    // from 1
  uint32_t sequence;  // in the stream, from 0
  uint32_t thread;    // number of the thread whose calls the first records are
  uint64_t tick;
  uint32_t used;  // bytes of records, once the chunk is full; else 0
  uint32_t reserved;
  uint64_t checksum;  // Checksum of the records, up to the next multiple of 8 bytes, once the chunk is full; else 0
  uint64_t reserved_words[3];
};
static_assert(sizeof(ChunkHeader) == 64);

// Calls with the same effect have one operation: operator new is malloc, or aligned_alloc with an alignment; valloc and
// pvalloc are memalign; realloc of NULL is malloc, and to size 0 free; reallocarray is realloc.
enum class Op : uint8_t {
  kEnd = 0,           // no record
  kMalloc,            // tick, block, size
  kCalloc,            // tick, block, size (of all elements together)
  kRealloc,           // tick, old block, new block (may be the same), size, took
  kAlignedAlloc,      // tick, block, size, log2 of the alignment
  kPosixMemalign,     // tick, block, size, log2 of the alignment
  kMemalign,          // tick, block, size, log2 of the alignment
  kFree,              // tick, block
  kFreeNull,          // tick
  kFreeSized,         // tick, block, size
  kFreeAlignedSized,  // tick, block, size, log2 of the alignment
  kTrim,              // tick, bytes to keep
  kThread,     // tick, number of the thread from 1, the system's id of it. A number seen before in whatever stream
               // is the same thread: it made calls in its last destructors, after kThreadEnd
  kThreadEnd,  // tick
  kFork,       // tick; the process forked. The child's calls are not in this file
};

// Of operations that get a block: there was none, errno ENOMEM. The fields are the same without the (new) block, and
// without `took`.
inline constexpr uint8_t kFailed = 0x80;

enum class Field : uint8_t { kNone, kTick, kBlock, kSize, kAlignment, kTook, kKeep, kThread, kSystemThread };

struct OpRow {
  const char* name;
  Field fields[5];  // up to the first kNone
};
inline constexpr OpRow kOpRows[] = {
    {"end", {}},
    {"malloc", {Field::kTick, Field::kBlock, Field::kSize}},
    {"calloc", {Field::kTick, Field::kBlock, Field::kSize}},
    {"realloc", {Field::kTick, Field::kBlock, Field::kBlock, Field::kSize, Field::kTook}},
    {"aligned_alloc", {Field::kTick, Field::kBlock, Field::kSize, Field::kAlignment}},
    {"posix_memalign", {Field::kTick, Field::kBlock, Field::kSize, Field::kAlignment}},
    {"memalign", {Field::kTick, Field::kBlock, Field::kSize, Field::kAlignment}},
    {"free", {Field::kTick, Field::kBlock}},
    {"free-null", {Field::kTick}},
    {"free_sized", {Field::kTick, Field::kBlock, Field::kSize}},
    {"free_aligned_sized", {Field::kTick, Field::kBlock, Field::kSize, Field::kAlignment}},
    {"trim", {Field::kTick, Field::kKeep}},
    {"thread", {Field::kTick, Field::kThread, Field::kSystemThread}},
    {"thread-end", {Field::kTick}},
    {"fork", {Field::kTick}},
};
inline constexpr size_t kOps = sizeof(kOpRows) / sizeof(kOpRows[0]);
static_assert(kOps == static_cast<size_t>(Op::kFork) + 1);

inline constexpr unsigned kBlockShift = 4;  // blocks are multiples of 16 bytes
inline constexpr size_t kMaxNumberBytes = 10;
inline constexpr size_t kMaxRecordBytes = 1 + 5 * kMaxNumberBytes;

// A difference of two's complement as a number that is small when the difference is near to 0, and back.
constexpr uint64_t Fold(uint64_t difference) { return (difference << 1) ^ (uint64_t{0} - (difference >> 63)); }
constexpr uint64_t Unfold(uint64_t folded) { return (folded >> 1) ^ (uint64_t{0} - (folded & 1)); }
static_assert(Fold(0) == 0 && Fold(~uint64_t{0}) == 1 && Fold(1) == 2 && Unfold(Fold(~uint64_t{4})) == ~uint64_t{4});

// FNV-1a over 64-bit words.
inline constexpr uint64_t kChecksumStart = 14695981039346656037u;
inline uint64_t Checksum(const void* data, size_t bytes) {
  const auto* words = static_cast<const uint64_t*>(data);
  uint64_t sum = kChecksumStart;
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) sum = (sum ^ words[i]) * 1099511628211u;
  return sum;
}

}  // namespace hakmem::trace

#endif  // HAKMEM_TRACE_TRACE_FORMAT_H_
