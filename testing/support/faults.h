// System calls that fail where a test says so.
#ifndef TESTING_SUPPORT_FAULTS_H_
#define TESTING_SUPPORT_FAULTS_H_

#include <cstdint>

#include "hakmem/platform/build.h"
#include "hakmem/platform/os.h"

namespace hakmem::test {

// The seam is there in all builds but release.
inline constexpr bool kHasFaults = !kReleaseBuild;

// While it lives, calls of `call` fail with `error`: those from number `first` (from 0) on, `count` of them. One at a
// time.
class FailingCalls {
 public:
  FailingCalls(os::Call call, int error, uint64_t first = 0, uint64_t count = UINT64_MAX);
  ~FailingCalls();
  FailingCalls(const FailingCalls&) = delete;
  FailingCalls& operator=(const FailingCalls&) = delete;

  // Calls of this kind seen so far, failed ones included.
  uint64_t seen() const;
};

// While it lives, the system's pages pretend to be this large.
class PretendedPageSize {
 public:
  explicit PretendedPageSize(size_t size);
  ~PretendedPageSize();
  PretendedPageSize(const PretendedPageSize&) = delete;
  PretendedPageSize& operator=(const PretendedPageSize&) = delete;
};

}  // namespace hakmem::test

#endif  // TESTING_SUPPORT_FAULTS_H_
