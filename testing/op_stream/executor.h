// Runs a stream on an allocator, with real threads, and checks every answer.
//
//   #include "testing/op_stream/executor.h"
//   const Stream stream = DecodeLoose(bytes, {.threads = 3});         // codec.h; or ParseText, MakeRandomStream, ...
//   const Report report = Execute(stream, HakAllocator());            // allocator.h; or SystemAllocator(), or a table
//   of yours if (!report.ok()) puts(report.failures[0].c_str());
//
// For fuzzing: `abort_on_failure` prints the failure and aborts where it happens; `forks` and `starts` bound what is
// slow; `may_fail_above` = 0 lets every allocation fail (with ENOMEM, and with a block given to realloc unharmed), for
// streams that run with failing system calls; `outcomes` tells what each operation gave, to compare two allocators.
//
// Checked: alignment; live blocks do not overlap (in a shadow map outside of the allocator); contents are unchanged
// from write to free, also in a forked child; zeroes of calloc; the prefix that realloc keeps; usable size; errno and
// results of calls that have to fail. Where a block comes with contents of unknown kind, all of a small block and the
// edges of a large one are written at once; kFill writes all of it.
//
// The order of operations is that of plan.h. After a failure no further operation is done, and blocks that are still
// alive are not freed. At the end of a sound run all blocks are checked and freed by thread 0.
#ifndef TESTING_OP_STREAM_EXECUTOR_H_
#define TESTING_OP_STREAM_EXECUTOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "testing/op_stream/allocator.h"
#include "testing/op_stream/op_stream.h"

namespace hakmem::op_stream {

// What an operation gave.
struct Outcome {
  enum class Kind : uint8_t {
    kNotDone,  // it made no sense at its place, or its block could not be had
    kDone,     // an operation without a result, or with one that has to be so
    kBlock,
    kNoMemory,
    kRefused,  // a kRefused operation whose request was turned down
  };
  Kind kind = Kind::kNotDone;
  int error = 0;  // errno, or the result of posix_memalign, with kNoMemory and kRefused

  bool operator==(const Outcome&) const = default;
};

struct ExecuteOptions {
  uint64_t may_fail_above = uint64_t{1} << 28;  // requests of more bytes may fail
  bool abort_on_failure = false;
  uint32_t forks = 16;
  uint32_t starts = 1024;
  std::vector<Outcome>* outcomes = nullptr;  // one for each operation
};

struct Report {
  std::vector<std::string> failures;  // each with its operation; the first few
  uint64_t operations = 0;            // done
  uint64_t left_out = 0;
  uint64_t no_memory = 0;  // requests that failed and were allowed to

  bool ok() const { return failures.empty(); }
};

// `stream` has to be valid. One call at a time, unless the streams fork no processes.
Report Execute(const Stream& stream, const Allocator& allocator, const ExecuteOptions& options = {});

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_EXECUTOR_H_
