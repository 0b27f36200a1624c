#include "hakmem/diag/crash_handler.h"

#include <signal.h>
#include <ucontext.h>

#include <atomic>

#include "hakmem/diag/crash_report.h"
#include "hakmem/diag/report.h"
#include "hakmem/diag/report_text.h"
#include "hakmem/diag/ring.h"
#include "hakmem/platform/compiler.h"
#include "hakmem/platform/os.h"

namespace hakmem::crash_handler {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGABRT};
constexpr size_t kSignalCount = sizeof(kSignals) / sizeof(kSignals[0]);
// The kernel's frame with all vector registers is up to 11 KiB; the report's own frames are small. Touched when used.
constexpr size_t kStackBytes = size_t{128} << 10;

struct HandlerStack {
  HandlerStack* next;            // constant once it can be found
  std::atomic<uint32_t> thread;  // that has it; 0: nobody
  char* memory;
};

constinit bool installed = false;
constinit void* (*allocate_memory)(size_t, size_t) = nullptr;
constinit std::atomic<HandlerStack*> first_stack{nullptr};
struct sigaction before[kSignalCount];

// The calling thread's, nullptr when it has none. Looked for only where threads begin and end: the library keeps to one
// thread-local pointer, which is the heap's.
HandlerStack* StackOf(uint32_t me) {
  // Acquire: the stacks are set up when they can be found.
  for (HandlerStack* s = first_stack.load(std::memory_order_acquire); s != nullptr; s = s->next) {
    if (s->thread.load(std::memory_order_relaxed) == me) return s;  // what we stored ourselves, or another number
  }
  return nullptr;
}

// Of one of kSignals: the handler stands for no other.
size_t IndexOf(int signal) {
  size_t i = 0;
  while (kSignals[i] != signal) ++i;
  return i;
}

// Leaves the signal to the default action. A fault happens again when the handler returns, with everything as it was,
// which is what a core file is to show; a signal that somebody sent has to be sent again.
void LeaveToDefault(int signal, const siginfo_t* info) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  if (info->si_code <= 0 || signal == SIGABRT) os::SendToThread(signal);
}

void Chain(int signal, siginfo_t* info, void* context) {
  struct sigaction& old = before[IndexOf(signal)];
  const bool wants_info = (old.sa_flags & SA_SIGINFO) != 0;
  if (!wants_info && (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN)) {
    LeaveToDefault(signal, info);
    return;
  }
  // As the kernel would have called it.
  sigset_t mask = old.sa_mask;
  if ((old.sa_flags & SA_NODEFER) == 0) sigaddset(&mask, signal);
  sigset_t unblocked;
  sigprocmask(SIG_BLOCK, &mask, &unblocked);
  const struct sigaction now = old;
  if ((old.sa_flags & SA_RESETHAND) != 0) {
    old.sa_flags = 0;
    old.sa_handler = SIG_DFL;
  }
  if (wants_info) {
    now.sa_sigaction(signal, info, context);
  } else {
    now.sa_handler(signal);
  }
  sigprocmask(SIG_SETMASK, &unblocked, nullptr);
}

// Whether nobody but the kernel's default action comes after us.
bool IsLast(int signal) {
  const struct sigaction& old = before[IndexOf(signal)];
  return (old.sa_flags & SA_SIGINFO) == 0 && (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN);
}

void Handle(int signal, siginfo_t* info, void* context) {
  const int saved = os::SavedErrno();
  if (ReportText::InOne()) {
    // The report itself failed: what there is of it has to do.
    ReportText* report = ReportText::Current();
    report->Line() << "  (the report ends here: it failed itself)";
    report->Send();
    LeaveToDefault(signal, info);
    return;
  }
  if (!HasReported()) {
    if (ReportText* report = ReportText::Begin(); report != nullptr) {
      WriteCrash(*report, *info, *static_cast<const ucontext_t*>(context));
      if (ring::On()) ring::DumpToFile();
      // A process that dies now lets nobody else begin a report, which would be cut off in the middle.
      if (IsLast(signal)) {
        report->Send();
      } else {
        report->End();
      }
    }
  }
  Chain(signal, info, context);
  os::RestoreErrno(saved);
}

HandlerStack* TakeStack(uint32_t me) {
  // Acquire: the stacks are set up when they can be found.
  for (HandlerStack* s = first_stack.load(std::memory_order_acquire); s != nullptr; s = s->next) {
    uint32_t nobody = 0;
    // Acquire: who had the stack before is done with it. Nothing of ours is published: relaxed on that side.
    if (s->thread.compare_exchange_strong(nobody, me, std::memory_order_acquire, std::memory_order_relaxed)) return s;
  }
  auto* s = static_cast<HandlerStack*>(allocate_memory(sizeof(HandlerStack), 64));
  if (s == nullptr) return nullptr;
  s->memory = static_cast<char*>(allocate_memory(kStackBytes, 4096));
  if (s->memory == nullptr) return nullptr;
  s->thread.store(me, std::memory_order_relaxed);         // the exchange below publishes
  s->next = first_stack.load(std::memory_order_relaxed);  // a look: the exchange decides
  // Release: who finds the stack finds it set up.
  while (!first_stack.compare_exchange_weak(s->next, s, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return s;
}

}  // namespace

void Install(void* (*allocate)(size_t size, size_t alignment)) {
  allocate_memory = allocate;
  installed = true;
  struct sigaction action = {};
  action.sa_sigaction = Handle;
  // A fault in the handler comes back to it: SA_NODEFER.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignalCount; ++i) sigaction(kSignals[i], &action, &before[i]);
}

void StartThread() {
  if (!installed) return;
  const uint32_t me = static_cast<uint32_t>(os::ThreadId());
  if (StackOf(me) != nullptr) return;
  stack_t now = {};
  if (sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
  HandlerStack* taken = TakeStack(me);
  if (taken == nullptr) return;
  stack_t ours = {};
  ours.ss_sp = taken->memory;
  ours.ss_size = kStackBytes;
  if (sigaltstack(&ours, nullptr) != 0) taken->thread.store(0, std::memory_order_release);  // as in EndThread
}

void EndThread() {
  if (!installed) return;
  HandlerStack* const mine = StackOf(static_cast<uint32_t>(os::ThreadId()));
  if (mine == nullptr) return;
  stack_t now = {};
  if (sigaltstack(nullptr, &now) == 0 && now.ss_sp == mine->memory) {
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    // Not while the handler runs on it: then it stays the thread's.
    if (sigaltstack(&none, nullptr) != 0) return;
  }
  // Release: what the handler wrote on the stack in this thread comes before what it writes there in the next.
  mine->thread.store(0, std::memory_order_release);
}

void RepairAfterFork() {
  if (!installed) return;
  const uint32_t me = static_cast<uint32_t>(os::ThreadId());
  // The thread has another number now; its stack is the one that the kernel uses.
  stack_t now = {};
  if (sigaltstack(nullptr, &now) != 0) return;
  // Relaxed: the child has one thread.
  for (HandlerStack* s = first_stack.load(std::memory_order_relaxed); s != nullptr; s = s->next) {
    s->thread.store(now.ss_sp == s->memory ? me : 0, std::memory_order_relaxed);  // as above
  }
}

}  // namespace hakmem::crash_handler
