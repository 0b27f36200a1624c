#include "hakmem/trace/trace.h"

#include "hakmem/config/options.h"
#include "hakmem/diag/file_name.h"
#include "hakmem/tiny/thread_heap.h"
#include "hakmem/trace/record_writer.h"
#include "hakmem/trace/recorder.h"
#include "hakmem/trace/trace_file.h"

namespace hakmem::trace {

constinit bool g_on = false;

namespace {

bool Wanted() { return g_options.trace != nullptr && *g_options.trace != 0; }

// Calls `write` with the recorder of the calling thread.
template <class Write>
HAK_ALWAYS_INLINE void With(Write write) {
  if (HAK_UNLIKELY(!file::Active())) return;
  if (Recorder* recorder = OwnRecorder(); HAK_LIKELY(recorder != nullptr)) {
    write(*recorder);
    return;
  }
  // A thread that has none but huge blocks gets a heap, too: its end is noticed by the heap's.
  tiny::HeapScope scope;
  if (Recorder* recorder = OwnRecorder(); recorder != nullptr) {
    write(*recorder);
  } else if (Recorder* borrowed = BorrowRecorder(); borrowed != nullptr) {
    write(*borrowed);
    ReturnRecorder(*borrowed);
  } else {
    file::CountLost();
  }
}

bool HasAlignment(Op op) {
  return op == Op::kAlignedAlloc || op == Op::kPosixMemalign || op == Op::kMemalign || op == Op::kFreeAlignedSized;
}

HAK_ALWAYS_INLINE void PutAlignment(RecordWriter& writer, const Call& call) {
  if (HAK_UNLIKELY(HasAlignment(call.op))) writer.Put(static_cast<unsigned>(__builtin_ctzl(call.alignment)));
}

}  // namespace

void Start() {
  if (!Wanted() || !file::Open()) return;
  g_watcher = &kWatcher;
  g_on = true;
}

HAK_NOINLINE void Allocated(const Call& call, const void* p) {
  const uint64_t now = Tick();
  With([&](Recorder& recorder) {
    RecordWriter writer(recorder, now);
    if (HAK_UNLIKELY(!writer.ok())) return;
    if (HAK_LIKELY(p != nullptr)) writer.PutBlock(p);
    writer.Put(call.size);
    PutAlignment(writer, call);
    writer.Finish(static_cast<uint8_t>(static_cast<uint8_t>(call.op) | (p == nullptr ? kFailed : 0)));
  });
}

HAK_NOINLINE void Freed(const Call& call, const void* p) {
  // What lies elsewhere is no block; hakmem reports it.
  if (reinterpret_cast<uintptr_t>(p) % (size_t{1} << kBlockShift) != 0) return;
  const uint64_t now = Tick();
  With([&](Recorder& recorder) {
    RecordWriter writer(recorder, now);
    if (HAK_UNLIKELY(!writer.ok())) return;
    if (HAK_UNLIKELY(p == nullptr)) {
      writer.Finish(Op::kFreeNull);
      return;
    }
    writer.PutBlock(p);
    if (call.op != Op::kFree) writer.Put(call.size);
    PutAlignment(writer, call);
    writer.Finish(call.op);
  });
}

HAK_NOINLINE void Reallocated(const void* from, const void* to, size_t size, uint64_t began) {
  if (reinterpret_cast<uintptr_t>(from) % (size_t{1} << kBlockShift) != 0) return;  // no block, as above
  const uint64_t now = Tick();
  With([&](Recorder& recorder) {
    RecordWriter writer(recorder, now);
    if (HAK_UNLIKELY(!writer.ok())) return;
    writer.PutBlock(from);
    if (HAK_UNLIKELY(to == nullptr)) {
      writer.Put(size).Finish(static_cast<uint8_t>(static_cast<uint8_t>(Op::kRealloc) | kFailed));
      return;
    }
    const uint64_t took = to == from || writer.tick() < began ? 0 : writer.tick() - began;
    writer.PutBlock(to).Put(size).Put(took).Finish(Op::kRealloc);
  });
}

void Trimmed(size_t keep) {
  With([&](Recorder& recorder) {
    RecordWriter writer(recorder, Tick());
    if (writer.ok()) writer.Put(keep).Finish(Op::kTrim);
  });
}

void Forked() {
  With([&](Recorder& recorder) {
    RecordWriter writer(recorder, Tick());
    if (writer.ok()) writer.Finish(Op::kFork);
  });
}

void RepairAfterFork(bool may_allocate) {
  if (!g_on) return;
  Recorder* own = OwnRecorder();
  // Forked by a signal handler that came between two halves of a record: the second one still goes to the parent's
  // chunk, where the parent writes the same. Nothing may be taken away under it, and the child is not recorded. Nor is
  // one that must not allocate.
  if (!may_allocate || (own != nullptr && own->writing)) return file::Stop();
  file::Leave();
  ForgetStreams(own);
  if (!NamesProcess(g_options.trace)) return;
  if (!file::Open()) return;
  if (own != nullptr) WriteThread(*own, false);
}

void NoteExit() {
  if (g_on) file::NoteExit();
}

}  // namespace hakmem::trace
