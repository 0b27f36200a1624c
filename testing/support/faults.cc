#include "testing/support/faults.h"

#include <atomic>

namespace hakmem::test {
namespace {

[[maybe_unused]] std::atomic<os::Call> failing_call{os::Call::kCount};
[[maybe_unused]] std::atomic<int> failing_error{0};
[[maybe_unused]] std::atomic<uint64_t> failing_first{0};
[[maybe_unused]] std::atomic<uint64_t> failing_count{0};
std::atomic<uint64_t> seen_calls{0};

[[maybe_unused]] int Hook(os::Call call) {
  if (call != failing_call.load()) return 0;
  const uint64_t n = seen_calls.fetch_add(1);
  return n >= failing_first.load() && n - failing_first.load() < failing_count.load() ? failing_error.load() : 0;
}

}  // namespace

#if !defined(HAKMEM_BUILD_RELEASE)
FailingCalls::FailingCalls(os::Call call, int error, uint64_t first, uint64_t count) {
  failing_call = call;
  failing_error = error;
  failing_first = first;
  failing_count = count;
  seen_calls = 0;
  os::SetFaultHook(Hook);
}
FailingCalls::~FailingCalls() { os::SetFaultHook(nullptr); }
PretendedPageSize::PretendedPageSize(size_t size) { os::SetPageSizeForTest(size); }
PretendedPageSize::~PretendedPageSize() { os::SetPageSizeForTest(0); }
#else
FailingCalls::FailingCalls(os::Call, int, uint64_t, uint64_t) {}
FailingCalls::~FailingCalls() = default;
PretendedPageSize::PretendedPageSize(size_t) {}
PretendedPageSize::~PretendedPageSize() = default;
#endif
uint64_t FailingCalls::seen() const { return seen_calls.load(); }

}  // namespace hakmem::test
