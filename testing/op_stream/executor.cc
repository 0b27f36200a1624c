#include "testing/op_stream/executor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "testing/op_stream/checked_allocator.h"
#include "testing/op_stream/plan.h"
#include "testing/op_stream/progress.h"
#include "testing/op_stream/text.h"

namespace hakmem::op_stream {
namespace {

constexpr size_t kMostFailures = 8;

// Ends a forked child. Not by _exit(2): there the thread sanitizer counts threads that had ended and were not joined
// yet as leaks of the child's, which has no other threads.
[[noreturn]] void EndChild(int status) {
  syscall(SYS_exit_group, status);
  __builtin_unreachable();
}

struct Barrier {
  std::atomic<uint32_t> arrived{0};
  Progress open;
};

struct Thread {
  std::vector<Block> slots;
  Progress done;  // steps
  std::mutex starting;
  std::thread handle;  // of the life that began last; guarded by `starting`
  uint64_t operations = 0;
  uint64_t no_memory = 0;
};

class Executor {
 public:
  Executor(const Stream& stream, const Allocator& allocator, const ExecuteOptions& options)
      : stream_(stream),
        options_(options),
        plan_(MakePlan(stream, {options.forks, options.starts})),
        checked_(allocator, options.may_fail_above),
        threads_(stream.header.threads),
        barriers_(plan_.barriers.size()) {
    for (size_t t = 0; t < threads_.size(); ++t) threads_[t].slots.resize(plan_.threads[t].slots);
    if (options_.outcomes != nullptr) options_.outcomes->assign(stream.ops.size(), {});
  }

  Report Run() {
    RunLife(0, plan_.threads[0].lives[0]);
    // A thread may be started by one that is still at work: first all steps, then nobody starts any more.
    for (size_t t = 0; t < threads_.size(); ++t) {
      threads_[t].done.WaitFor(static_cast<uint32_t>(plan_.threads[t].steps.size()));
    }
    for (Thread& thread : threads_) {
      const std::lock_guard<std::mutex> hold(thread.starting);
      if (thread.handle.joinable()) thread.handle.join();
    }
    Report report;
    if (!failed()) FreeAll();
    report.failures = std::move(failures_);
    report.left_out = plan_.left_out;
    for (const Thread& thread : threads_) {
      report.operations += thread.operations;
      report.no_memory += thread.no_memory;
    }
    return report;
  }

 private:
  bool failed() const { return failed_.load(std::memory_order_relaxed); }  // a hint to stop; orders nothing

  void Fail(uint32_t op, const std::string& what) {
    const std::string text = absl::StrCat(checked_.allocator().name, ": operation ", op, " (",
                                          op < stream_.ops.size() ? ToText(stream_.ops[op]) : "end", "): ", what);
    if (options_.abort_on_failure) {
      fprintf(stderr, "%s\n", text.c_str());
      abort();
    }
    const std::lock_guard<std::mutex> hold(failures_lock_);
    if (failures_.size() < kMostFailures) failures_.push_back(text);
    failed_.store(true, std::memory_order_relaxed);  // see failed()
  }

  void RunLife(uint32_t t, Life life) {
    Thread& thread = threads_[t];
    for (uint32_t i = life.begin; i < life.end; ++i) {
      const Step& step = plan_.threads[t].steps[i];
      for (const Wait& wait : step.waits) {
        if (wait.steps != 0) threads_[wait.thread].done.WaitFor(wait.steps);
      }
      if (step.op != Step::kOnlyWait) Do(t, step);
      thread.done.Set(i + 1, step.watched || i + 1 == life.end);
    }
  }

  // After a failure, only what keeps the threads together is done.
  void Do(uint32_t t, const Step& step) {
    const Op& op = stream_.ops[step.op];
    switch (op.kind) {
      case OpKind::kStart: Start(static_cast<uint32_t>(op.operands[0]), step.detail); break;
      case OpKind::kBarrier: Meet(step.detail); break;
      default:
        if (failed()) return;
        break;
    }
    const Outcome outcome = Perform(t, step.op, op);
    if (op.thread == t && outcome.kind != Outcome::Kind::kNotDone) ++threads_[t].operations;
    if (op.thread == t && options_.outcomes != nullptr) (*options_.outcomes)[step.op] = outcome;
  }

  void Start(uint32_t t, uint32_t life) {
    Thread& thread = threads_[t];
    // Two threads may start the lives of a third: the later one waits for the steps of the life before, then for its
    // starter, who perhaps has not stored the handle yet.
    thread.done.WaitFor(plan_.threads[t].lives[life].begin);
    const std::lock_guard<std::mutex> hold(thread.starting);
    if (thread.handle.joinable()) thread.handle.join();
    thread.handle = std::thread([this, t, life] { RunLife(t, plan_.threads[t].lives[life]); });
  }

  void Meet(uint32_t number) {
    Barrier& barrier = barriers_[number];
    // Acquire and release: everything before the barrier happens before everything after it.
    if (barrier.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == plan_.barriers[number]) {
      barrier.open.Set(1, true);
    } else {
      barrier.open.WaitFor(1);
    }
  }

  Outcome Perform(uint32_t t, uint32_t index, const Op& op) {
    using Kind = Outcome::Kind;
    Block none;
    Block* block = RowOf(op.kind).operands[0] == OperandType::kSlot ? &threads_[t].slots[op.operands[0]] : &none;
    const bool has = block->p != nullptr;
    const uint64_t seed = uint64_t{index} << 16 | 1;
    std::string failure;
    Outcome outcome{Kind::kDone, 0};
    switch (op.kind) {
      case OpKind::kMalloc:
      case OpKind::kCalloc:
      case OpKind::kAlignedAlloc:
      case OpKind::kPosixMemalign:
      case OpKind::kMemalign:
      case OpKind::kRealloc:
      case OpKind::kReallocarray: {
        const bool resizes = op.kind == OpKind::kRealloc || op.kind == OpKind::kReallocarray;
        CheckedAllocator::Answer answer =
            resizes ? checked_.Resize(op, seed, block) : checked_.Allocate(op, seed, block);
        failure = std::move(answer.failure);
        outcome = answer.error != 0     ? Outcome{Kind::kNoMemory, answer.error}
                  : block->p != nullptr ? Outcome{Kind::kBlock, 0}
                                        : outcome;
        if (answer.error != 0) ++threads_[t].no_memory;
        break;
      }
      case OpKind::kFree:
      case OpKind::kFreeSized:
        if (!has) return {};
        failure = checked_.Free(op.kind == OpKind::kFreeSized, block);
        break;
      case OpKind::kUsableSize:
        if (!has) return {};
        failure = checked_.CheckUsableSize(*block);
        break;
      case OpKind::kFill:
        if (!has) return {};
        checked_.Fill(seed + 2 * op.operands[1], block);
        break;
      case OpKind::kCheck:
        if (!has) return {};
        failure = checked_.CheckContents(*block);
        break;
      case OpKind::kHand:
        if (!has) return {};
        threads_[op.operands[1]].slots[op.operands[2]] = *block;
        *block = {};
        break;
      case OpKind::kTrim:
        if (checked_.allocator().trim != nullptr) checked_.allocator().trim(op.operands[0]);
        break;
      case OpKind::kFork: failure = Fork(threads_[t]); break;
      case OpKind::kRefused: {
        int error = 0;
        failure = checked_.Refuse(static_cast<Refusal>(op.operands[1]), *block, &error);
        if (error != 0) outcome = {Kind::kRefused, error};
        break;
      }
      case OpKind::kStart:
      case OpKind::kEnd:
      case OpKind::kBarrier: break;
    }
    if (!failure.empty()) Fail(index, failure);
    return outcome;
  }

  std::string Fork(const Thread& thread) {
    fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) return "";  // the machine's limits are no fault of the allocator's
    if (child == 0) {
      // A child that hangs is a failure too.
      alarm(60);
      for (const Block& block : thread.slots) {
        if (block.p != nullptr && !checked_.CheckAndFreeInChild(block)) EndChild(3);
      }
      EndChild(checked_.AllocateInChild() ? 0 : 4);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
    }
    if (status == 0) return "";
    if (WIFSIGNALED(status)) return absl::StrCat("a forked child was ended by signal ", WTERMSIG(status));
    return WEXITSTATUS(status) == 3 ? "a forked child found a block damaged"
                                    : absl::StrCat("a forked child ended with status ", WEXITSTATUS(status));
  }

  void FreeAll() {
    for (Thread& thread : threads_) {
      for (Block& block : thread.slots) {
        if (block.p == nullptr) continue;
        std::string failure = checked_.CheckUsableSize(block);
        if (failure.empty()) failure = checked_.Free(false, &block);
        if (failure.empty()) continue;
        Fail(static_cast<uint32_t>(stream_.ops.size()), failure);
        return;
      }
    }
  }

  const Stream& stream_;
  const ExecuteOptions options_;
  const Plan plan_;
  CheckedAllocator checked_;
  std::vector<Thread> threads_;
  std::vector<Barrier> barriers_;
  std::atomic<bool> failed_{false};
  std::mutex failures_lock_;
  std::vector<std::string> failures_;
};

}  // namespace

Report Execute(const Stream& stream, const Allocator& allocator, const ExecuteOptions& options) {
  return std::make_unique<Executor>(stream, allocator, options)->Run();
}

}  // namespace hakmem::op_stream
