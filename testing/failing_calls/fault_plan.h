// Makes system calls of hakmem's fail, for tests. Release builds have no such door: there nothing ever fails.
#ifndef HAKMEM_TESTING_FAILING_CALLS_FAULT_PLAN_H_
#define HAKMEM_TESTING_FAILING_CALLS_FAULT_PLAN_H_

#include <errno.h>

#include <atomic>
#include <cstdint>

#include "hakmem/platform/build.h"
#include "hakmem/platform/os.h"

namespace hakmem::testing {

inline constexpr bool kFaultsPossible = !kReleaseBuild;

// The one plan of the process. Set and cleared by the test's thread; any thread may run into it.
class FaultPlan {
 public:
  static constexpr uint64_t kForEver = UINT64_MAX;

  // From now on, calls number `first` to `first` + `count` - 1 of kind `call`, counted from 1, fail with `error`.
  static void Set(os::Call call, uint64_t first, uint64_t count = 1, int error = ENOMEM) {
    Clear();
    call_ = call;
    first_ = first;
    last_ = count == kForEver ? kForEver : first + count - 1;
    error_ = error;
    seen_ = 0;
    failed_ = 0;
#if !defined(HAKMEM_BUILD_RELEASE)
    os::SetFaultHook(&Hook);
#endif
  }

  static void Clear() {
#if !defined(HAKMEM_BUILD_RELEASE)
    os::SetFaultHook(nullptr);
#endif
  }

  // Calls of the plan's kind since Set, and those of them that failed.
  static uint64_t seen() { return seen_; }
  static uint64_t failed() { return failed_; }

 private:
  static int Hook(os::Call call) {
    if (call != call_) return 0;
    const uint64_t number = ++seen_;
    if (number < first_ || number > last_) return 0;
    ++failed_;
    return error_;
  }

  static inline std::atomic<os::Call> call_{os::Call::kMap};
  static inline std::atomic<uint64_t> first_{0};
  static inline std::atomic<uint64_t> last_{0};
  static inline std::atomic<int> error_{0};
  static inline std::atomic<uint64_t> seen_{0};
  static inline std::atomic<uint64_t> failed_{0};
};

}  // namespace hakmem::testing

#endif  // HAKMEM_TESTING_FAILING_CALLS_FAULT_PLAN_H_
