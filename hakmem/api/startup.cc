#include "hakmem/api/startup.h"

#include <pthread.h>

#include "hakmem/api/background.h"
#include "hakmem/api/block_events.h"
#include "hakmem/api/describe.h"
#include "hakmem/api/statistics.h"
#include "hakmem/config/options.h"
#include "hakmem/diag/crash_handler.h"
#include "hakmem/diag/log.h"
#include "hakmem/diag/report.h"
#include "hakmem/diag/report_text.h"
#include "hakmem/diag/ring.h"
#include "hakmem/guard/guard.h"
#include "hakmem/large/huge.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/at_work.h"
#include "hakmem/platform/lock.h"
#include "hakmem/platform/os.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/thread_heap.h"
#include "hakmem/trace/trace.h"

extern "C" char** environ;

namespace hakmem::startup {

constinit std::atomic<bool> g_done{false};

namespace {

constinit Lock init_lock{LockRank::kInit};

// The environment as the loader hands it to constructors: ours runs first of all, before the C library's sets
// `environ`.
constinit const char* const* environment_at_load = nullptr;

// The environment, also when the first call comes before any constructor: then from /proc.
const char* const* Environment() {
  if (environ != nullptr) return environ;
  if (environment_at_load != nullptr) return environment_at_load;
  constexpr size_t kMostBytes = 1 << 16;
  constexpr size_t kMostEntries = 1024;
  const int fd = os::OpenForRead("/proc/self/environ");
  if (fd < 0) return nullptr;
  char* text = static_cast<char*>(gate::AllocateMetadata(kMostBytes, 16));
  const char** entries = static_cast<const char**>(gate::AllocateMetadata((kMostEntries + 1) * sizeof(char*), 16));
  if (text == nullptr || entries == nullptr) {
    os::Close(fd);
    return nullptr;
  }
  size_t length = 0;
  for (intptr_t n; length < kMostBytes - 1 && (n = os::Read(fd, text + length, kMostBytes - 1 - length)) > 0;) {
    length += static_cast<size_t>(n);
  }
  os::Close(fd);
  size_t count = 0;
  for (size_t at = 0; at < length && count < kMostEntries; at += strlen(text + at) + 1) entries[count++] = text + at;
  return entries;
}

// All locks, in the order of their ranks, so that a child finds nothing half done under one of them.
constexpr int kLockCount = 6;
Lock& LockAt(int i) {
  switch (i) {
    case 0: return heap_pool::PoolLock();
    case 1: return huge::SpareLock();
    case 2: return pool::PoolLock();
    case 3: return tiny::BoardLock();
    case 4: return arena::ArenaLock();
    default: return gate::MetadataLock();
  }
}

// Who holds a lock waits for no other: but for threads that fork. One that holds a lock, because its signal handler
// forks, may wait for one that another thread has taken to fork, which waits for that very lock. So a thread that had
// none before gives back what it has taken when the next one does not come within a moment, and begins anew. Of two
// threads whose handlers fork one has to fork without a lock. It does so at once when it comes again before it has
// released its own: a timer may have its handler called again before it executes another instruction.
constexpr uint64_t kMomentMs = 10;
constexpr uint64_t kMostWaitMs = 100;  // far more than a holder takes

// The lock that the calling thread holds; nullptr: none. (All of them are leaves, so that it is one;
// or a handler has interrupted a fork, which has taken it and perhaps more.)
Lock* HeldLock() {
  for (int i = 0; i < kLockCount; ++i) {
    if (LockAt(i).IsHeldByCaller()) return &LockAt(i);
  }
  return nullptr;
}

void BeforeFork() HAK_NO_THREAD_SAFETY_ANALYSIS {
  if (Lock* const held = HeldLock(); held != nullptr) {
    const uint64_t give_up_ms = held->HasGivenUp() ? 0 : os::NowMs() + kMostWaitMs;
    bool all = true;
    for (int i = 0; i < kLockCount; ++i) all &= LockAt(i).AcquireForFork(give_up_ms);
    if (!all) held->NoteGivenUp();
    return;
  }
  for (;;) {
    int taken = 0;
    while (taken < kLockCount && LockAt(taken).AcquireForFork(os::NowMs() + kMomentMs)) ++taken;
    if (taken == kLockCount) return;
    while (taken-- > 0) LockAt(taken).ReleaseInParent();
    // Whoever waited for one of them is woken, and has to come before us.
    std::atomic<uint32_t> nothing{0};
    os::FutexWaitMs(&nothing, 0, 1);
  }
}

// Between BeforeFork and the releases: whether all that the locks guard is whole. It is not when the fork came from a
// signal handler while its thread held one.
bool AllWhole() {
  for (int i = 0; i < kLockCount; ++i) {
    if (!LockAt(i).IsWhole()) return false;
  }
  return true;
}

void AfterForkInParent() HAK_NO_THREAD_SAFETY_ANALYSIS {
  const bool whole = AllWhole();
  for (int i = kLockCount; i-- > 0;) LockAt(i).ReleaseInParent();
  pool::NoteFork(false);
  if (trace::On() && whole) trace::Forked();
}

void AfterForkInChild() HAK_NO_THREAD_SAFETY_ANALYSIS {
  const bool whole = AllWhole();
  for (int i = kLockCount; i-- > 0;) LockAt(i).ReleaseInChild();
  Heap* heap = DrivenHeap();
  if (heap == NotStartedHeap() || heap == FinishedHeap()) heap = nullptr;
  // A signal handler that forks may have interrupted this very thread. What that was about goes on after the handler.
  const bool interrupted = !whole || AtWork::IsCaller() || heap_pool::IsAtWork(heap);
  AtWork::ForgetOthers();
  pool::NoteFork(true);
  pool::RepairAfterFork(interrupted ? 0 : huge::KeptBytes(), interrupted);
  // It may be about to notify a heap of a slab that it has pushed a block to: that heap has to stay as it is.
  heap_pool::AbandonOthersInChild(heap, interrupted ? nullptr : tiny::RepairAfterFork);
  background::ForgetInChild();
  ReportText::ForgetInChild();
  crash_handler::RepairAfterFork();
  ring::RepairAfterFork();
  trace::RepairAfterFork(whole);
  HAK_LOG(kInfo, "forked child");
}

__attribute__((constructor(101))) void AtLoad(int /*argc*/, char** /*argv*/, [[maybe_unused]] char** environment) {
#if defined(__GLIBC__)  // other loaders pass constructors nothing
  environment_at_load = environment;
#endif
  Ensure();
}

__attribute__((destructor(101))) void AtExit() {
  if constexpr (kGuardBuild) guard::CheckWaiting();
  if (g_options.stats != 0) PrintStatistics(ReportFd(), g_options.stats == 2);
  if (g_options.ring != 0 && !ring::DumpToFile()) ReportLine("hakmem: HAKMEM_RING_FILE: the file cannot be written");
  trace::NoteExit();
}

// A copy of an option's text, which is the environment's, in `buffer`.
const char* Keep(const char* text, char* buffer, size_t size) {
  if (text == nullptr) return nullptr;
  Format(buffer, size) << text;
  return buffer;
}

// False when another thread came first.
bool SetUp() {
  LockHolder hold(init_lock);
  if (g_done.load(std::memory_order_relaxed)) return false;  // under the lock
  Options options;
  if (!os::IsSecure()) ParseOptions(Environment(), &options, ReportLine);
  // Programs that set their process title write over the environment's memory.
  static constinit char report_path[4096] = {};
  static constinit char ring_path[4096] = {};
  static constinit char trace_path[4096] = {};
  options.report = Keep(options.report, report_path, sizeof(report_path));
  options.ring_file = Keep(options.ring_file, ring_path, sizeof(ring_path));
  options.trace = Keep(options.trace, trace_path, sizeof(trace_path));
  // Every malloc and free is to be seen: none is served from a list.
  if (options.ring != 0) options.tiny_fast_cap = 0;
  g_options = options;
  if (g_options.verbose != 0) PrintOptions(g_options, ReportLine);
  // Looked up now: a program may forbid itself such system calls later on (seccomp(2)).
  if (g_options.huge_pages == 1) (void)os::HugePagesReturn();
  gate::OpenWindow(g_options.window != 0);
  SetDescriber(DescribeAddress);
  if (g_options.crash_handler != 0) crash_handler::Install(gate::AllocateMetadata);
  if (g_options.ring != 0) ring::Start(g_options.ring, gate::AllocateMetadata);
  trace::Start();
  block_events::g_wanted = ring::On() || trace::On();
  arena::SetKeeper(huge::ReleaseKept);
  tiny::PrepareThreadExit();
  g_done.store(true, std::memory_order_release);  // publishes all of the above
  return true;
}

}  // namespace

void Initialize() {
  if (!SetUp()) return;
  // May allocate, which works by now. Not left to the constructor: others run before it, and may start threads and
  // fork.
  pthread_atfork(BeforeFork, AfterForkInParent, AfterForkInChild);
}

}  // namespace hakmem::startup
