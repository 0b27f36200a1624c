// A program that has shut itself in a sandbox: what it may not ask the system any more is known by then.

#include <errno.h>
#include <sys/syscall.h>

#include <hakmem/hakmem.h>

#include "gtest/gtest.h"
#include "hakmem/platform/os.h"
#include "testing/support/sandbox.h"

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

}  // namespace
}  // namespace hakmem
