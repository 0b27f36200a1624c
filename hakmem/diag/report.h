// Messages to the user: standard error, or the file of HAKMEM_REPORT. Nothing here allocates.
#ifndef HAKMEM_DIAG_REPORT_H_
#define HAKMEM_DIAG_REPORT_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/format.h"

namespace hakmem {

// One line, with its line end added, in a single write(2), so that lines of two threads never mix.
void ReportLine(const char* line);

// Where reports go: a descriptor that stays open.
int ReportFd();

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

// Prints "hakmem: <what>" and aborts.
[[noreturn]] void Die(const char* what, const char* file, int line);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_REPORT_H_
