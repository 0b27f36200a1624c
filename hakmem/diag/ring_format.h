// The records of the debug ring, and the file that they are dumped to. Shared with the tool that reads it.
//
// A dump is a DumpHeader, then sections, each a DumpSection with as many bytes behind it as it says, padded to 8:
//
//     kRing     a RingSection, then its records, oldest first
//     kModules  the lines of /proc/self/maps that are executable, for the names of callers
//     kEnd      a DumpEnd: the number of records, and the checksum of everything before this section
//
// All numbers have the byte order of the machine that wrote them; the header's first words tell a reader that has the
// other.
#ifndef HAKMEM_DIAG_RING_FORMAT_H_
#define HAKMEM_DIAG_RING_FORMAT_H_

#include <cstddef>
#include <cstdint>

namespace hakmem::ring {

// name, text, what the record's value is (empty when it has none), what it means
// clang-format off
#define HAKMEM_RING_EVENTS(X) \
  X(None,         "none",          "",       "not an event") \
  X(Malloc,       "malloc",        "size",   "a block went to the program; the size is what was asked for") \
  X(Free,         "free",          "bytes",  "the program gave a block of so many usable bytes back") \
  X(Realloc,      "realloc",       "size",   "realloc resized a block in place; the size is what was asked for") \
  X(RemotePush,   "remote-push",   "blocks", "freed blocks, the first of them named, were pushed to a slab of another heap") \
  X(Drain,        "drain",         "blocks", "the owner took the blocks that others had pushed") \
  X(Claim,        "claim",         "",       "an unowned slab got an owner") \
  X(ClaimRefused, "claim-refused", "heap",   "a claim failed: the slab belongs to that heap") \
  X(Release,      "release",       "",       "the owner gave the slab up") \
  X(Retire,       "retire",        "",       "all blocks were home, the slab's life ended") \
  X(Adopt,        "adopt",         "",       "a slab that another heap had released serves this one") \
  X(Refill,       "refill",        "source", "a slab gave blocks; the source named it") \
  X(SetUp,        "set-up",        "",       "a slab began a life with this class") \
  X(Map,          "map",           "size",   "memory came from the system") \
  X(Unmap,        "unmap",         "size",   "memory went back to the system for good") \
  X(Purge,        "purge",         "size",   "pages went back to the system, the addresses stay") \
  X(ThreadStart,  "thread-start",  "",       "first event of a thread in this ring") \
  X(ThreadEnd,    "thread-end",    "",       "the thread's heap ended") \
  X(Fork,         "fork",          "",       "the process was forked from the one whose events stand before") \
  X(Fault,        "fault",         "",       "misuse of this pointer was reported")
// clang-format on

enum class Event : uint8_t {
#define HAKMEM_RING_EVENT(name, text, value, meaning) k##name,
  HAKMEM_RING_EVENTS(HAKMEM_RING_EVENT)
#undef HAKMEM_RING_EVENT
};

struct EventRow {
  const char* text;
  const char* value;
};
inline constexpr EventRow kEventRows[] = {
#define HAKMEM_RING_EVENT(name, text, value, meaning) {text, value},
    HAKMEM_RING_EVENTS(HAKMEM_RING_EVENT)
#undef HAKMEM_RING_EVENT
};
inline constexpr size_t kEventCount = sizeof(kEventRows) / sizeof(kEventRows[0]);

// Where refill found a slab: the value of Event::kRefill.
inline constexpr const char* kSourceNames[] = {"bound",   "inbox",     "sticky",   "hot", "bench",
                                               "mailbox", "mmap-gate", "uncarved", "pool"};
enum class Source : uint8_t { kBound, kInbox, kSticky, kHot, kBench, kMailbox, kMmapGate, kUncarved, kPool };
inline constexpr size_t kSourceCount = sizeof(kSourceNames) / sizeof(kSourceNames[0]);

// Of a record whose slab has no owner, or that concerns none.
inline constexpr uint32_t kNoOwner = 0;

struct Record {
  uint64_t sequence;  // of the ring, from 1
  uint64_t time_ns;   // CLOCK_MONOTONIC
  uint64_t pointer;   // block, slab or mapping; 0: none
  uint64_t slab;      // base of the slab; 0: none
  uint64_t caller;    // return address in the program; 0: not known
  uint64_t value;     // see the events
  uint32_t thread;    // the system's thread id
  uint32_t owner;     // heap that owns the slab
  uint8_t event;
  uint8_t size_class;  // of the slab
  uint16_t reserved16;
  uint32_t reserved32;
};
static_assert(sizeof(Record) == 64);

inline constexpr char kDumpMagic[8] = {'H', 'A', 'K', 'R', 'I', 'N', 'G', '\n'};
inline constexpr uint32_t kDumpVersion = 1;
inline constexpr uint32_t kByteOrder = 0x01020304;

struct DumpHeader {
  char magic[8];
  uint32_t byte_order;
  uint32_t version;
  uint32_t header_size;
  uint32_t record_size;
  uint64_t time_ns;  // of the dump, CLOCK_MONOTONIC
  uint64_t unix_ns;  // of the dump, since 1970
  uint32_t process;
  uint32_t reserved;
};
static_assert(sizeof(DumpHeader) == 48);

enum class SectionKind : uint32_t { kRing = 1, kModules = 2, kEnd = 3 };

struct DumpSection {
  SectionKind kind;
  uint32_t reserved;
  uint64_t bytes;  // behind this word, before padding
};

struct RingSection {
  uint64_t written;   // events since the ring began
  uint64_t capacity;  // records
  uint64_t thread;    // that writes to the ring; 0: none now
};

struct DumpEnd {
  uint64_t records;
  uint64_t overwritten;  // older events that newer ones took the place of
  uint64_t lost;         // events without memory for a ring
  uint64_t checksum;     // Checksum over all bytes before the section
};

// FNV-1a over 64-bit words; everything in a dump is a multiple of 8 bytes long.
inline constexpr uint64_t kChecksumStart = 14695981039346656037u;
inline uint64_t Checksum(uint64_t sum, const void* data, size_t bytes) {
  const auto* words = static_cast<const uint64_t*>(data);
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) sum = (sum ^ words[i]) * 1099511628211u;
  return sum;
}

}  // namespace hakmem::ring

#endif  // HAKMEM_DIAG_RING_FORMAT_H_
