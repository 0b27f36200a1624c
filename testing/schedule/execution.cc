#include "testing/schedule/execution.h"

#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace hakmem::schedule {
namespace {

constexpr size_t kStackSize = size_t{128} << 10;

Execution* current_execution = nullptr;
ucontext_t caller_context;

bool Acquires(std::memory_order order) {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}
bool Releases(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}

// A failed execution is left where it stands, so stacks outlive it and are used again.
char* StackOf(int thread) {
  static std::array<std::unique_ptr<char[]>, kMaxThreads> stacks;
  if (stacks[thread] == nullptr) stacks[thread] = std::make_unique<char[]>(kStackSize);
  return stacks[thread].get();
}

}  // namespace

struct Execution::Thread {
  ucontext_t context;
  const std::function<void()>* body = nullptr;
  bool done = false;
  int waits_for = -1;  // a mutex
};

void Knowledge::Join(const Knowledge& other) {
  for (size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], other.clock[i]);
  for (size_t i = 0; i < view.size(); ++i) view[i] = std::max(view[i], other.view[i]);
}

bool Site::operator<(const Site& other) const {
  if (const int order = strcmp(file, other.file); order != 0) return order < 0;
  return line != other.line ? line < other.line : column < other.column;
}

Execution::Execution(const Limits& limits, Chooser& chooser, Orders* orders)
    : limits_(limits), chooser_(chooser), orders_(orders) {
  locations_.reserve(kMaxLocations);
  known_[0].clock[0] = 1;
  current_execution = this;
}

Execution::~Execution() {
  for (Thread* thread : threads_) delete thread;
  current_execution = nullptr;
}

Execution& Execution::Current() { return *current_execution; }

void Execution::Fail(const std::string& why) {
  if (failed_) return;
  failed_ = true;
  failure_ = why;
}

void Execution::FailInThread(const std::string& why) {
  Fail(why);
  if (current_ != 0) BackToCaller();
  // The caller checks after the threads' end, and has to be able to go on; it does not call this.
  fprintf(stderr, "%s\n", why.c_str());
  abort();
}

void Execution::Enter() {
  Execution& self = Current();
  Thread& thread = *self.threads_[static_cast<size_t>(self.current_)];
  (*thread.body)();
  thread.done = true;
  self.SwitchTo(self.PickNext(false));
}

void Execution::Run(const std::vector<std::function<void()>>& bodies) {
  threads_.push_back(new Thread);  // the caller
  threads_[0]->done = true;
  for (const std::function<void()>& body : bodies) {
    const int number = static_cast<int>(threads_.size());
    threads_.push_back(new Thread);
    Thread& thread = *threads_.back();
    thread.body = &body;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = StackOf(number);
    thread.context.uc_stack.ss_size = kStackSize;
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, Enter, 0);
    known_[static_cast<size_t>(number)] = known_[0];
    known_[static_cast<size_t>(number)].clock[static_cast<size_t>(number)] = 1;
  }
  const int first = PickNext(false);
  current_ = first;
  swapcontext(&caller_context, &threads_[static_cast<size_t>(first)]->context);
  current_ = 0;
  for (size_t i = 1; i < threads_.size(); ++i) known_[0].Join(known_[i]);
}

void Execution::BackToCaller() {
  ucontext_t left;
  swapcontext(&left, &caller_context);
  abort();  // nobody comes back
}

bool Execution::CanRun(int number) const {
  const Thread& thread = *threads_[static_cast<size_t>(number)];
  if (thread.done) return false;
  return thread.waits_for < 0 || mutexes_[static_cast<size_t>(thread.waits_for)].holder < 0;
}

// The thread that takes the next step, or -1 when none can.
int Execution::PickNext(bool current_goes_on) {
  std::array<int, kMaxThreads> candidates;
  int count = 0;
  if (current_goes_on) {
    candidates[static_cast<size_t>(count++)] = current_;
    if (preemptions_ == limits_.preemptions) return current_;
  }
  for (int i = 1; i < static_cast<int>(threads_.size()); ++i) {
    if (i == current_ && current_goes_on) continue;
    if (CanRun(i)) candidates[static_cast<size_t>(count++)] = i;
  }
  if (count == 0) return -1;
  const int chosen = candidates[static_cast<size_t>(count == 1 ? 0 : chooser_.Choose(count))];
  if (current_goes_on && chosen != current_) ++preemptions_;
  return chosen;
}

void Execution::SwitchTo(int next) {
  if (next < 0) {
    for (const Thread* thread : threads_) {
      if (!thread->done) Fail("the threads wait for each other");
    }
    BackToCaller();
  }
  if (next == current_) return;
  Thread& from = *threads_[static_cast<size_t>(current_)];
  current_ = next;
  swapcontext(&from.context, &threads_[static_cast<size_t>(next)]->context);
}

// A switching point: before each operation that others can notice.
void Execution::Step() {
  if (current_ == 0) return;
  if (++step_count_ > limits_.most_steps) FailInThread("the threads do not come to an end");
  SwitchTo(PickNext(true));
}

// What the thread does from here on is later than what it has just published.
void Execution::Pass() { ++known_[static_cast<size_t>(current_)].clock[static_cast<size_t>(current_)]; }

void Execution::Note(const char* what, int location, uint64_t value, const std::source_location& where) {
  if (!record_) return;
  const char* file = strrchr(where.file_name(), '/');
  char text[256];
  snprintf(text, sizeof(text), "thread %d  %-6s atomic %d  %#llx  %s:%u", current_, what, location,
           static_cast<unsigned long long>(value), file == nullptr ? where.file_name() : file + 1, where.line());
  steps_.push_back(text);
}

int Execution::NewLocation(uint64_t value) {
  if (locations_.size() == kMaxLocations) {
    fprintf(stderr, "more than %d atomics in a scenario\n", kMaxLocations);
    abort();
  }
  locations_.push_back({{{value, known_[static_cast<size_t>(current_)]}}, 0});
  return static_cast<int>(locations_.size()) - 1;
}

uint64_t Execution::Load(int number, std::memory_order order, const std::source_location& where) {
  if (orders_ != nullptr) order = orders_->Of(Site::Of(where), Operation::kLoad, order);
  Step();
  Location& location = locations_[static_cast<size_t>(number)];
  Knowledge& known = known_[static_cast<size_t>(current_)];
  uint16_t& view = known.view[static_cast<size_t>(number)];
  const bool consistent = order == std::memory_order_seq_cst;
  const int last = static_cast<int>(location.history.size()) - 1;
  const int oldest = consistent ? std::max<int>(view, location.consistent) : view;
  int read = last;
  if (oldest < last && old_reads_ < limits_.old_reads && current_ != 0) {
    read = last - chooser_.Choose(last - oldest + 1);
    if (read != last) ++old_reads_;
  }
  view = static_cast<uint16_t>(read);
  if (consistent) location.consistent = std::max(location.consistent, static_cast<uint16_t>(read));
  const Stored& stored = location.history[static_cast<size_t>(read)];
  if (Acquires(order)) known.Join(stored.released);
  Note(read == last ? "load" : "OLD", number, stored.value, where);
  return stored.value;
}

void Execution::Store(int number, uint64_t value, std::memory_order order, const std::source_location& where) {
  if (orders_ != nullptr) order = orders_->Of(Site::Of(where), Operation::kStore, order);
  Step();
  Location& location = locations_[static_cast<size_t>(number)];
  Knowledge& known = known_[static_cast<size_t>(current_)];
  const uint16_t index = static_cast<uint16_t>(location.history.size());
  known.view[static_cast<size_t>(number)] = index;
  if (order == std::memory_order_seq_cst) location.consistent = index;
  location.history.push_back({value, Releases(order) ? known : Knowledge{}});
  Note("store", number, value, where);
  Pass();
}

uint64_t Execution::Modify(int number, std::memory_order order, Next next, void* context,
                           const std::source_location& where) {
  if (orders_ != nullptr) order = orders_->Of(Site::Of(where), Operation::kModify, order);
  Step();
  Location& location = locations_[static_cast<size_t>(number)];
  Knowledge& known = known_[static_cast<size_t>(current_)];
  const uint64_t before = location.history.back().value;
  const uint16_t last = static_cast<uint16_t>(location.history.size() - 1);
  known.view[static_cast<size_t>(number)] = last;
  uint64_t after = 0;
  if (!next(before, &after, context)) {  // a failed exchange: its order is relaxed everywhere
    Note("fails", number, before, where);
    return before;
  }
  if (Acquires(order)) known.Join(location.history.back().released);
  const uint16_t index = static_cast<uint16_t>(last + 1);
  known.view[static_cast<size_t>(number)] = index;
  if (order == std::memory_order_seq_cst) location.consistent = index;
  Knowledge released = location.history.back().released;  // the release sequence goes on
  if (Releases(order)) released.Join(known);
  location.history.push_back({after, released});
  Note("modify", number, after, where);
  Pass();
  return before;
}

int Execution::NewMutex() {
  mutexes_.push_back({-1, known_[static_cast<size_t>(current_)]});
  return static_cast<int>(mutexes_.size()) - 1;
}

void Execution::LockMutex(int number) {
  Step();
  Mutex* mutex = &mutexes_[static_cast<size_t>(number)];
  if (mutex->holder >= 0) {
    if (current_ == 0) abort();
    threads_[static_cast<size_t>(current_)]->waits_for = number;
    SwitchTo(PickNext(false));
    threads_[static_cast<size_t>(current_)]->waits_for = -1;
    mutex = &mutexes_[static_cast<size_t>(number)];
  }
  mutex->holder = current_;
  known_[static_cast<size_t>(current_)].Join(mutex->released);
}

void Execution::UnlockMutex(int number) {
  Step();
  Mutex& mutex = mutexes_[static_cast<size_t>(number)];
  mutex.released = known_[static_cast<size_t>(current_)];
  mutex.holder = -1;
  Pass();
}

void Execution::ReadPlain(PlainState& state, const char* what) {
  const Knowledge& known = known_[static_cast<size_t>(current_)];
  if (state.write.at > known.clock[static_cast<size_t>(state.write.thread)]) {
    const std::string why = std::string("data race: a read of ") + what + " is not ordered after a write";
    if (current_ == 0) return Fail(why);
    FailInThread(why);
  }
  state.reads[static_cast<size_t>(current_)] = known.clock[static_cast<size_t>(current_)];
}

void Execution::WritePlain(PlainState& state, const char* what) {
  const Knowledge& known = known_[static_cast<size_t>(current_)];
  bool ordered = state.write.at <= known.clock[static_cast<size_t>(state.write.thread)];
  for (size_t i = 0; i < state.reads.size(); ++i) ordered = ordered && state.reads[i] <= known.clock[i];
  if (!ordered) {
    const std::string why = std::string("data race: a write of ") + what + " is not ordered after another access";
    if (current_ == 0) return Fail(why);
    FailInThread(why);
  }
  state.write = {current_, known.clock[static_cast<size_t>(current_)]};
}

}  // namespace hakmem::schedule
