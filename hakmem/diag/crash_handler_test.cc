// What comes after the report: the handler that stood there before, as the kernel would have called it.
#include "hakmem/diag/crash_handler.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "hakmem/diag/address_info.h"
#include "testing/child/child.h"

namespace hakmem::crash_handler {
namespace {

void* AllocateZeroed(size_t size, size_t alignment) {
  void* p = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  memset(p, 0, size);
  return p;
}

struct Ending {
  int status;
  std::string err;
};

// Runs `body` in a child whose standard error is kept.
template <class Body>
Ending RunInChild(Body body) {
  const int err = memfd_create("err", 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(err, STDERR_FILENO);
    body();
    _exit(1);
  }
  Ending ending = {-1, ""};
  EXPECT_EQ(waitpid(child, &ending.status, 0), child);
  ending.err = testing::ReadAll(err);
  close(err);
  return ending;
}

void Fault() { *reinterpret_cast<volatile int*>(24) = 1; }

TEST(CrashHandlerTest, TheHandlerBeforeIsCalledWithTheFault) {
  const Ending ending = RunInChild([] {
    struct sigaction action = {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int signal, siginfo_t* info, void*) {
      sigset_t blocked;
      sigprocmask(SIG_BLOCK, nullptr, &blocked);
      const bool good = signal == SIGSEGV && info->si_addr == reinterpret_cast<void*>(24) &&
                        sigismember(&blocked, SIGSEGV) == 1 && sigismember(&blocked, SIGUSR1) == 1;
      _exit(good ? 42 : 2);
    };
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &action, nullptr);
    Install(AllocateZeroed);
    StartThread();
    Fault();
  });
  EXPECT_EQ(WEXITSTATUS(ending.status), 42);
  EXPECT_NE(ending.err.find("hakmem: SIGSEGV: the program"), std::string::npos) << ending.err;
}

// A handler that mends what was wrong: the program goes on, and the next fault is reported again.
TEST(CrashHandlerTest, AProgramThatGoesOnIsReportedAgain) {
  const Ending ending = RunInChild([] {
    struct sigaction action = {};
    static int faults = 0;
    action.sa_handler = [](int) {
      if (++faults == 2) _exit(43);
    };
    sigaction(SIGABRT, &action, nullptr);
    Install(AllocateZeroed);
    raise(SIGABRT);
    raise(SIGABRT);
  });
  EXPECT_EQ(WEXITSTATUS(ending.status), 43);
  const size_t first = ending.err.find("hakmem: SIGABRT");
  ASSERT_NE(first, std::string::npos);
  EXPECT_NE(ending.err.find("hakmem: SIGABRT", first + 1), std::string::npos) << ending.err;
}

TEST(CrashHandlerTest, AHandlerForOneTimeIsCalledOnce) {
  const Ending ending = RunInChild([] {
    struct sigaction action = {};
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    action.sa_handler = [](int) {};
    sigaction(SIGSEGV, &action, nullptr);
    Install(AllocateZeroed);
    raise(SIGSEGV);  // the handler
    raise(SIGSEGV);  // the default
  });
  EXPECT_TRUE(WIFSIGNALED(ending.status));
  EXPECT_EQ(WTERMSIG(ending.status), SIGSEGV);
}

// What there is of the report is sent, and the program dies of what it would have died of.
TEST(CrashHandlerTest, AReportThatFailsItselfEndsThere) {
  const Ending ending = RunInChild([] {
    Install(AllocateZeroed);
    StartThread();
    SetDescriber([](const void*, AddressInfo*) { *reinterpret_cast<volatile int*>(32) = 1; });
    Fault();
  });
  EXPECT_TRUE(WIFSIGNALED(ending.status));
  EXPECT_EQ(WTERMSIG(ending.status), SIGSEGV);
  EXPECT_EQ(ending.err.rfind("hakmem: SIGSEGV: the program ", 0), 0u) << ending.err;
  EXPECT_NE(ending.err.find("hakmem:   (the report ends here: it failed itself)\n"), std::string::npos) << ending.err;
}

// A thread without a stack of its own for the handler is reported all the same, as long as it has some of its own left.
TEST(CrashHandlerTest, WithoutMemoryForStacks) {
  const Ending ending = RunInChild([] {
    Install([](size_t, size_t) -> void* { return nullptr; });
    StartThread();
    stack_t now = {};
    sigaltstack(nullptr, &now);
    if ((now.ss_flags & SS_DISABLE) == 0) _exit(2);
    EndThread();
    Fault();
  });
  EXPECT_TRUE(WIFSIGNALED(ending.status));
  EXPECT_EQ(ending.err.rfind("hakmem: SIGSEGV: the program ", 0), 0u) << ending.err;
}

TEST(CrashHandlerTest, ThreadsGiveTheirStacksBack) {
  const Ending ending = RunInChild([] {
    Install(AllocateZeroed);
    stack_t now = {};
    StartThread();
    sigaltstack(nullptr, &now);
    void* const first = now.ss_sp;
    const bool had = (now.ss_flags & SS_DISABLE) == 0;
    EndThread();
    sigaltstack(nullptr, &now);
    const bool gone = (now.ss_flags & SS_DISABLE) != 0;
    StartThread();
    sigaltstack(nullptr, &now);
    _exit(had && gone && now.ss_sp == first ? 44 : 2);
  });
  EXPECT_EQ(WEXITSTATUS(ending.status), 44);
}

TEST(CrashHandlerTest, AStackOfTheProgramsOwnIsLeftAlone) {
  const Ending ending = RunInChild([] {
    static char own[65536];
    stack_t stack = {};
    stack.ss_sp = own;
    stack.ss_size = sizeof(own);
    sigaltstack(&stack, nullptr);
    Install(AllocateZeroed);
    StartThread();
    EndThread();
    stack_t now = {};
    sigaltstack(nullptr, &now);
    _exit(now.ss_sp == own ? 45 : 2);
  });
  EXPECT_EQ(WEXITSTATUS(ending.status), 45);
}

}  // namespace
}  // namespace hakmem::crash_handler
