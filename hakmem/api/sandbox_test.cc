// A program that has shut itself in a sandbox: what it may not ask the system any more is known by then.

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>

#include <vector>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/platform/os.h"
#include "testing/support/sandbox.h"
#include "testing/support/threads.h"

namespace hakmem {
namespace {

TEST(Sandbox, WhetherHugePagesReturnIsKnownFromTheStart) {
  hak_free(hak_malloc(1));
  const bool answer = test::HoldsInChild([] { return os::HugePagesReturn(); });
  const bool in_sandbox = test::HoldsInChild([] {
    return test::RefuseSystemCall(SYS_uname, EPERM) && test::RefuseSystemCall(SYS_openat, EPERM) &&
           os::HugePagesReturn();
  });
  EXPECT_EQ(in_sandbox, answer);
}

// Sanitizers make calls of their own.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && \
    !__has_feature(undefined_behavior_sanitizer)

// The calls that docs/design.md names, and those by which the C library starts and ends threads.
constexpr unsigned kAllowed[] = {
    SYS_mmap,          SYS_munmap, SYS_mremap, SYS_madvise,         SYS_mincore,      SYS_futex,
    SYS_clock_gettime, SYS_clone,  SYS_clone3, SYS_set_robust_list, SYS_rseq,         SYS_rt_sigprocmask,
    SYS_mprotect,      SYS_brk,    SYS_exit,   SYS_exit_group,      SYS_rt_sigaction,
};

void UseMemory() {
  std::vector<void*> blocks;
  for (size_t size = 1; size < size_t{40} << 20; size += size / 2 + 1) blocks.push_back(hak_malloc(size));
  for (void*& p : blocks) p = hak_realloc(p, hak_usable_size(p) * 2 + 1);
  for (void* p : blocks) hak_free(p);
  hak_free(hak_calloc(1000, 1000));
  hak_free(hak_aligned_alloc(4096, 4096));
  hak_trim(0);
}

TEST(Sandbox, NoOtherCallsThanThoseDocumented) {
  EXPECT_TRUE(test::HoldsInChild([] {
    UseMemory();
    if (!test::AllowSystemCallsOnly(kAllowed)) return false;
    UseMemory();
    for (int i = 0; i < 3; ++i) test::RunInThread(UseMemory);
    return true;
  }));
}

TEST(Sandbox, AlsoWhereItsFirstAllocationComesLater) {
  EXPECT_TRUE(test::HoldsInChild([] {
    if (!test::AllowSystemCallsOnly(kAllowed)) return false;
    test::RunInThread(UseMemory);
    return true;
  }));
}

#endif

}  // namespace
}  // namespace hakmem
