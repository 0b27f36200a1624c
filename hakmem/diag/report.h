// Reports of misuse: what happened, to which block, where, and what to run next. Nothing here allocates.
//
// The first line is the message; programs and tests may look for its words. The lines behind it explain.
#ifndef HAKMEM_DIAG_REPORT_H_
#define HAKMEM_DIAG_REPORT_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/diag/report_file.h"
#include "hakmem/platform/format.h"

namespace hakmem {

// What went wrong, so far as hakmem can tell.
enum class Fault : uint8_t {
  kForeignPointer,    // not memory of hakmem's
  kInteriorPointer,   // inside a block, or not at the start of one
  kDoubleFree,        // the block is free already
  kWrongSize,         // sized delete or free_sized with a size that the block cannot have been asked with
  kWrittenPastEnd,    // guard words behind the block were written over
  kWrittenAfterFree,  // a block that is free was written to
  kCorruption,        // a list or a counter of hakmem's own contradicts itself
};

// Reports `fault` of `where` (such as "free") on `ptr`, with `detail` (may be empty) behind it; then aborts, or returns
// when the program is to go on (HAKMEM_ON_ERROR). The caller then does nothing further with `ptr`.
void ReportFault(Fault fault, const char* where, const void* ptr, const char* detail);

// Prints "hakmem: fatal: <what>" and aborts.
[[noreturn]] void Die(const char* what, const char* file, int line);

// Whether the calling thread has reported why it aborts: its SIGABRT needs no second report.
bool HasReported();

}  // namespace hakmem

#endif  // HAKMEM_DIAG_REPORT_H_
