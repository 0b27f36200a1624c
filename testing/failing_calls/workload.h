// One workload that reaches every way in which hakmem asks the system for something: small blocks of many classes,
// blocks of exited threads, huge blocks that grow and shrink, calloc, aligned blocks, trimming.
#ifndef HAKMEM_TESTING_FAILING_CALLS_WORKLOAD_H_
#define HAKMEM_TESTING_FAILING_CALLS_WORKLOAD_H_

#include <cstddef>
#include <string>

namespace hakmem::testing {

struct WorkloadResult {
  // What went wrong; empty when nothing did. A request refused with ENOMEM is nothing wrong.
  std::string problem;
  size_t refused = 0;
};

// Runs the workload, checks contents, alignment, zeroes and errno, and frees everything at the end. `scale` grows it.
WorkloadResult RunWorkload(size_t scale);

// What must hold when nothing fails any more: no block is lost (no huge block, no slab in use but what one thread
// keeps), and a fresh workload is served without a refusal. Empty when it holds.
std::string CheckAfterwards();

}  // namespace hakmem::testing

#endif  // HAKMEM_TESTING_FAILING_CALLS_WORKLOAD_H_
