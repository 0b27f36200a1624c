#include "bench/replay/program.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "testing/op_stream/plan.h"
#include "testing/recording/edit.h"
#include "testing/recording/ops.h"

namespace hakmem::bench {
namespace {

using op_stream::Op;
using op_stream::OpKind;
using op_stream::Plan;
using op_stream::Step;
using op_stream::Stream;

constexpr uint32_t kNoPoint = UINT32_MAX;

class Compiler {
 public:
  Compiler(const Stream& clean, uint32_t points) : stream_(clean), plan_(op_stream::MakePlan(clean)) {
    GoThrough(points);
  }

  std::string Write(int file) {
    uint64_t first_slot = 0;
    for (const op_stream::ThreadPlan& plan : plan_.threads) {
      first_slots_.push_back(first_slot);
      first_slot += plan.slots;
    }
    for (uint32_t t = 0; t < plan_.threads.size(); ++t) AddThread(t);
    ProgramHeader header{};
    header.threads = static_cast<uint32_t>(threads_.size());
    header.lives = static_cast<uint32_t>(lives_.size());
    header.barriers = static_cast<uint32_t>(plan_.barriers.size());
    header.points = static_cast<uint32_t>(points_.size());
    header.slots = first_slot;
    header.operations = operations_;
    header.peak_live = plan_.peak_live;
    header.events_at = sizeof(header) + threads_.size() * sizeof(ProgramThread) + lives_.size() * sizeof(Life) +
                       points_.size() * sizeof(Point) + plan_.barriers.size() * sizeof(uint32_t);
    header.events_at = (header.events_at + sizeof(Event) - 1) / sizeof(Event) * sizeof(Event);
    file_ = file;
    Put(&header, sizeof(header));
    PutAll(threads_);
    PutAll(lives_);
    PutAll(points_);
    PutAll(plan_.barriers);
    if (error_ == 0 && lseek(file, static_cast<off_t>(header.events_at), SEEK_SET) < 0) error_ = errno;
    PutAll(events_);
    return error_ == 0 ? "" : strerror(error_);
  }

 private:
  // In the order of the stream, for what has to be known of the blocks that are alive.
  void GoThrough(uint32_t points) {
    point_at_.assign(stream_.ops.size(), kNoPoint);
    how_freed_.assign(stream_.ops.size(), {Code::kFree, 0});
    recording::LiveBlocks live;
    for (size_t i = 0; i < stream_.ops.size(); ++i) {
      const Op& op = stream_.ops[i];
      if (op.kind == OpKind::kFreeSized) how_freed_[i] = HowFreed(live.At(op));
      live.Apply(op);
      if ((points_.size() + 1) * stream_.ops.size() > (i + 1) * uint64_t{points}) continue;
      point_at_[i] = static_cast<uint32_t>(points_.size());
      points_.push_back({i + 1, live.bytes()});
    }
  }

  struct How {
    Code code;
    uint64_t alignment_log2;
  };

  // The sized frees are for blocks of malloc, calloc, realloc and aligned_alloc alone (C23, 7.24.3).
  static How HowFreed(const recording::LiveBlock& block) {
    if (block.made_by == OpKind::kAlignedAlloc) return {Code::kFreeAlignedSized, block.alignment_log2};
    return {recording::Aligns(block.made_by) ? Code::kFree : Code::kFreeSized, 0};
  }

  void Emit(Code code, uint64_t slot, uint64_t size, uint64_t alignment_log2 = 0) {
    if (size > UINT32_MAX) Emit(Code::kLarge, 0, size >> 32);
    events_.push_back({static_cast<uint32_t>(code), static_cast<uint32_t>(alignment_log2), static_cast<uint32_t>(slot),
                       static_cast<uint32_t>(size)});
  }

  void AddThread(uint32_t t) {
    const op_stream::ThreadPlan& plan = plan_.threads[t];
    threads_.push_back(
        {first_slots_[t], plan.slots, static_cast<uint32_t>(lives_.size()), static_cast<uint32_t>(plan.lives.size())});
    for (const op_stream::Life& life : plan.lives) {
      const uint64_t begin = events_.size();
      for (uint32_t i = life.begin; i < life.end; ++i) AddStep(t, plan.steps[i], i + 1, i + 1 == life.end);
      lives_.push_back({begin, events_.size(), life.begin, life.end});
    }
  }

  void AddStep(uint32_t t, const Step& step, uint32_t number, bool last) {
    for (const op_stream::Wait& wait : step.waits) {
      if (wait.steps != 0) Emit(Code::kWait, wait.thread, wait.steps);
    }
    if (step.op != Step::kOnlyWait) AddOp(t, step);
    if (step.watched || last) Emit(Code::kDone, 0, number);
    if (step.op == Step::kOnlyWait || point_at_[step.op] == kNoPoint) return;
    Emit(Code::kSample, 0, point_at_[step.op]);
    point_at_[step.op] = kNoPoint;  // a barrier is a step of many
  }

  void AddOp(uint32_t t, const Step& step) {
    const Op& op = stream_.ops[step.op];
    const uint64_t slot = op.operands[0];
    const uint64_t size = recording::Makes(op.kind) ? recording::AskedBytes(op) : 0;
    switch (op.kind) {
      case OpKind::kStart: Emit(Code::kStart, slot, step.detail); return;
      case OpKind::kBarrier: Emit(Code::kBarrier, 0, step.detail); return;
      case OpKind::kHand: Emit(Code::kHand, slot, first_slots_[op.operands[1]] + op.operands[2]); return;
      case OpKind::kEnd:
      case OpKind::kRefused: return;
      case OpKind::kFork: Emit(Code::kFork, 0, 0); return;
      default: break;
    }
    if (op.thread == t) ++operations_;
    switch (op.kind) {
      case OpKind::kMalloc: Emit(Code::kMalloc, slot, size); return;
      case OpKind::kCalloc: Emit(Code::kCalloc, slot, size); return;
      case OpKind::kRealloc:
      case OpKind::kReallocarray: Emit(Code::kRealloc, slot, size); return;
      case OpKind::kAlignedAlloc: Emit(Code::kAlignedAlloc, slot, size, op.operands[2]); return;
      case OpKind::kPosixMemalign: Emit(Code::kPosixMemalign, slot, size, op.operands[2]); return;
      case OpKind::kMemalign: Emit(Code::kMemalign, slot, size, op.operands[2]); return;
      case OpKind::kFree: Emit(Code::kFree, slot, 0); return;
      case OpKind::kFreeSized: Emit(how_freed_[step.op].code, slot, 0, how_freed_[step.op].alignment_log2); return;
      case OpKind::kUsableSize: Emit(Code::kUsableSize, slot, 0); return;
      case OpKind::kFill: Emit(Code::kFill, slot, op.operands[1]); return;
      case OpKind::kCheck: Emit(Code::kCheck, slot, 0); return;
      case OpKind::kTrim: Emit(Code::kTrim, 0, op.operands[0]); return;
      default: return;
    }
  }

  template <class T>
  void PutAll(const std::vector<T>& values) {
    Put(values.data(), values.size() * sizeof(T));
  }
  void Put(const void* data, size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0 && error_ == 0) {
      const ssize_t written = write(file_, bytes, size);
      if (written < 0) {
        error_ = errno == EINTR ? 0 : errno;
        continue;
      }
      bytes += written;
      size -= static_cast<size_t>(written);
    }
  }

  const Stream& stream_;
  const Plan plan_;
  std::vector<uint32_t> point_at_;  // for each operation
  std::vector<How> how_freed_;      // the same, of sized frees
  std::vector<Point> points_;
  std::vector<uint64_t> first_slots_;
  std::vector<ProgramThread> threads_;
  std::vector<Life> lives_;
  std::vector<Event> events_;
  uint64_t operations_ = 0;
  int file_ = -1;
  int error_ = 0;
};

}  // namespace

std::string CompileProgram(const Stream& stream, uint32_t points, int file) {
  const Stream clean = recording::Clean(stream);
  return Compiler(clean, points).Write(file);
}

Program::Program(int file) : file_(file) {
  ProgramHeader header{};
  const bool read = pread(file, &header, sizeof(header), 0) == sizeof(header);
  void* start = read ? mmap(nullptr, header.events_at, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
  if (start == MAP_FAILED) {
    fprintf(stderr, "the compiled program cannot be read: %s\n", strerror(errno));
    abort();
  }
  header_ = static_cast<const ProgramHeader*>(start);
  threads_ = reinterpret_cast<const ProgramThread*>(header_ + 1);
  lives_ = reinterpret_cast<const Life*>(threads_ + header.threads);
  points_ = reinterpret_cast<const Point*>(lives_ + header.lives);
  barriers_ = reinterpret_cast<const uint32_t*>(points_ + header.points);
}

Program::~Program() { munmap(const_cast<ProgramHeader*>(header_), header_->events_at); }

size_t Program::ReadEvents(uint64_t from, size_t most, Event* events) const {
  const auto at = static_cast<off_t>(header_->events_at + from * sizeof(Event));
  ssize_t got;
  do {
    got = pread(file_, events, most * sizeof(Event), at);
  } while (got < 0 && errno == EINTR);
  return got < 0 ? 0 : static_cast<size_t>(got) / sizeof(Event);
}

}  // namespace hakmem::bench
