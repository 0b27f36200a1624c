// The options of hakmem: one table, read once from the environment before the first allocation is served.
//
// A row of HAKMEM_OPTIONS makes a field of `Options`, a variable HAKMEM_<NAME>, a line of HAKMEM_VERBOSE=1 and a row of
// docs/options.md. Numbers take the suffixes K, M, G and T (powers of 1024).
#ifndef HAKMEM_CONFIG_OPTIONS_H_
#define HAKMEM_CONFIG_OPTIONS_H_

#include <cstddef>
#include <cstdint>

namespace hakmem {

// What to do when a program misuses memory.
enum class OnError : uint64_t {
  kDefault,   // abort, but in release builds report a foreign pointer and go on
  kAbort,     // report and abort, whatever was found
  kContinue,  // report and go on; the faulty call does nothing
};

// kind, field, NAME, default, least, greatest, what it does
// clang-format off
#define HAKMEM_OPTIONS(X) \
  X(Number, verbose,        VERBOSE,        0,    0, 1, "print the effective options to standard error at the start") \
  X(Number, stats,          STATS,          0,    0, 2, "print statistics at exit: 1 as text, 2 as JSON") \
  X(Choice, on_error,       ON_ERROR,       0,    0, 2, "what a detected misuse leads to: default, abort or continue") \
  X(Text,   report,         REPORT,         0,    0, 0, "file to which messages and statistics are appended; standard error when empty") \
  X(Number, log,            LOG,            0,    0, 4, "debug and guard builds: 1 logs errors, 2 warnings too, 3 what happens, 4 details; release builds log nothing") \
  X(Number, crash_handler,  CRASH_HANDLER,  0,    0, 1, "1 reports SIGSEGV, SIGBUS and SIGABRT before what would happen without: the program's handler or its end") \
  X(Number, ring,           RING,           0,    0, 1048576, "events that the debug ring keeps for each thread, as a power of two; 0 records none") \
  X(Text,   ring_file,      RING_FILE,      0,    0, 0, "file that the debug ring goes to at exit and on a crash, %p is the process; hakmem-ring.%p when empty") \
  X(Text,   trace,          TRACE,          0,    0, 0, "file to which every call is recorded, for replay; %p is the process, and gives forked children files of their own; none when empty") \
  X(Number, tiny_fast_cap,  TINY_FAST_CAP,  1024, 0, 1024, "most blocks in one free list of a thread; 0 caches none") \
  X(Number, tiny_ss_adopt,  TINY_SS_ADOPT,  1,    0, 1, "slabs of exited threads go to whoever needs or frees into them; 0 keeps them for the next new thread") \
  X(Number, purge_delay_ms, PURGE_DELAY_MS, 500,  0, 3600000, "how long idle memory stays before it is given back; 0 gives back at once") \
  X(Number, idle_keep,      IDLE_KEEP,      4194304, 0, INT64_MAX, "bytes of idle memory that a burst leaves behind without an immediate purge") \
  X(Number, background,     BACKGROUND,     0,    0, 1, "1 starts a helper thread that gives idle memory back while the program sleeps") \
  X(Number, huge_pages,     HUGE_PAGES,     1,    0, 2, "transparent huge pages: 0 none, 1 where a block or a large heap fills them, 2 for all memory") \
  X(Number, memory_limit,   MEMORY_LIMIT,   0,    0, INT64_MAX, "most bytes that may be mapped for blocks; more fails with ENOMEM; 0 for no limit") \
  X(Number, window,         WINDOW,         1,    0, 1, "0 does without the address window (slower; for tests and odd address spaces)")
// clang-format on

struct Options {
#define HAKMEM_FIELD_Number uint64_t
#define HAKMEM_FIELD_Choice uint64_t
#define HAKMEM_FIELD_Text const char*
#define HAKMEM_DECLARE(kind, field, name, def, least, greatest, doc) HAKMEM_FIELD_##kind field = def;
  HAKMEM_OPTIONS(HAKMEM_DECLARE)
#undef HAKMEM_DECLARE
#undef HAKMEM_FIELD_Number
#undef HAKMEM_FIELD_Choice
#undef HAKMEM_FIELD_Text

  OnError error_action() const { return static_cast<OnError>(on_error); }
};

enum class OptionKind : uint8_t { kNumber, kChoice, kText };

// A row of the table, as data: for printing, for documents and for tests.
struct OptionRow {
  OptionKind kind;
  const char* name;  // with HAKMEM_ in front
  uint64_t default_value;
  uint64_t least;
  uint64_t greatest;
  const char* doc;
};
inline constexpr size_t kOptionCount = 0
#define HAKMEM_COUNT(...) +1
    HAKMEM_OPTIONS(HAKMEM_COUNT)
#undef HAKMEM_COUNT
    ;
const OptionRow& GetOptionRow(size_t i);

// Receives a finished line of text, without a line end.
using LineSink = void (*)(const char* line);

// Sets `out` from NULL-terminated `environment` ("NAME=value" strings). Every HAKMEM_ variable that is no option, and
// every value that does not fit, gets one line to `warn`; the default then stands. Texts are not copied: they must
// outlive `out` (start-up copies them). Allocates nothing.
void ParseOptions(const char* const* environment, Options* out, LineSink warn);

// The effective table, a line an option.
void PrintOptions(const Options& options, LineSink print);

// The options in force. Constant after start-up; the defaults before.
extern Options g_options;

}  // namespace hakmem

#endif  // HAKMEM_CONFIG_OPTIONS_H_
