#include "hakmem/trace/recorder.h"

#include <errno.h>

#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/platform/os.h"
#include "hakmem/trace/record_writer.h"
#include "hakmem/trace/tick.h"
#include "hakmem/trace/trace_file.h"

namespace hakmem::trace {
namespace {

constinit std::atomic<Recorder*> first_recorder{nullptr};
constinit std::atomic<uint32_t> streams{0};
constinit std::atomic<uint32_t> threads{0};

template <class Visit>
Recorder* Find(Visit visit) {
  // Acquire: the recorders are set up when they can be found.
  for (Recorder* r = first_recorder.load(std::memory_order_acquire); r != nullptr; r = r->next) {
    if (visit(*r)) return r;
  }
  return nullptr;
}

// Takes a recorder that nobody drives.
bool TryDrive(Recorder& recorder, uint32_t me) {
  uint32_t nobody = recorder.driver.load(std::memory_order_relaxed);  // a look: the exchange decides
  if (nobody != 0) return false;
  // Acquire: sees what the former driver wrote, its place in the chunk above all.
  return recorder.driver.compare_exchange_strong(nobody, me, std::memory_order_acquire, std::memory_order_relaxed);
}

Recorder* Make(uint32_t me) {
  auto* recorder = static_cast<Recorder*>(gate::AllocateMetadata(sizeof(Recorder), alignof(Recorder)));
  if (recorder == nullptr) return nullptr;
  recorder->driver.store(me, std::memory_order_relaxed);            // the exchange below publishes
  recorder->next = first_recorder.load(std::memory_order_relaxed);  // a look: the exchange decides
  // Release: who finds the recorder finds it set up.
  while (!first_recorder.compare_exchange_weak(recorder->next, recorder, std::memory_order_release,
                                               std::memory_order_relaxed)) {
  }
  return recorder;
}

StandIn* StartThread(Heap& heap) {
  if (!file::Active()) return nullptr;
  const auto me = static_cast<uint32_t>(os::ThreadId());
  Recorder* recorder = Find([&](Recorder& r) { return TryDrive(r, me); });
  if (recorder == nullptr) recorder = Make(me);
  if (recorder == nullptr) {
    file::End(ENOMEM);
    return nullptr;
  }
  recorder->heap = &heap;
  WriteThread(*recorder, false);
  return recorder;
}

void EndThread(StandIn& stand_in) {
  Recorder& recorder = static_cast<Recorder&>(stand_in);
  if (file::Active()) {
    if (RecordWriter writer(recorder, Tick()); writer.ok()) writer.Finish(Op::kThreadEnd);
  }
  ReturnRecorder(recorder);
}

void CloseChunk(Recorder& recorder) {
  if (recorder.chunk == nullptr) return;
  auto* header = reinterpret_cast<ChunkHeader*>(recorder.chunk);
  const unsigned char* records = recorder.chunk + sizeof(ChunkHeader);
  const auto used = static_cast<size_t>(recorder.at - records);
  header->checksum = Checksum(records, (used + 7) & ~size_t{7});
  // Release: a chunk that says how much it holds says its checksum, too.
  __atomic_store_n(&header->used, static_cast<uint32_t>(used), __ATOMIC_RELEASE);
  file::UnmapChunk(recorder.chunk);
  recorder.chunk = recorder.at = recorder.limit = nullptr;
}

}  // namespace

constinit const Watcher kWatcher = {StartThread, EndThread};

Recorder* BorrowRecorder() {
  const auto me = static_cast<uint32_t>(os::ThreadId());
  // Most often nobody has taken the thread's own since; a look, whose value only the driver changes, decides.
  Recorder* recorder = Find([&](Recorder& r) { return TryDrive(r, me); });
  if (recorder == nullptr) recorder = Make(me);
  if (recorder == nullptr) return nullptr;
  WriteThread(*recorder, recorder->system_thread == me);
  return recorder;
}

void ReturnRecorder(Recorder& recorder) {
  recorder.driver.store(0, std::memory_order_release);  // the next driver sees what this one wrote
}

bool NewChunk(Recorder& recorder, uint64_t now) {
  CloseChunk(recorder);
  unsigned char* chunk = file::AddChunk();
  if (chunk == nullptr) return false;
  if (recorder.stream == 0) recorder.stream = streams.fetch_add(1, std::memory_order_relaxed) + 1;  // a number
  auto* header = reinterpret_cast<ChunkHeader*>(chunk);
  header->stream = recorder.stream;
  header->sequence = recorder.sequence++;
  header->thread = recorder.thread;
  header->tick = now;
  // Release: a chunk with its magic number has all of its header.
  __atomic_store_n(&header->magic, kChunkMagic, __ATOMIC_RELEASE);
  recorder.tick = now;
  recorder.block = 0;
  recorder.chunk = chunk;
  recorder.at = chunk + sizeof(ChunkHeader);
  recorder.limit = chunk + kChunkBytes - kMaxRecordBytes;
  return true;
}

void ForgetStreams(Recorder* own) {
  // Relaxed throughout: the child has one thread.
  streams.store(0, std::memory_order_relaxed);
  threads.store(0, std::memory_order_relaxed);
  Find([&](Recorder& r) {
    if (r.chunk != nullptr) file::UnmapChunk(r.chunk);
    r.chunk = r.at = r.limit = nullptr;
    r.tick = 0;
    r.stream = r.sequence = r.system_thread = 0;
    r.writing = false;
    r.driver.store(&r == own ? static_cast<uint32_t>(os::ThreadId()) : 0, std::memory_order_relaxed);  // as above
    return false;
  });
}

void WriteThread(Recorder& recorder, bool same_thread) {
  if (!same_thread) {
    recorder.thread = threads.fetch_add(1, std::memory_order_relaxed) + 1;     // a number
    recorder.system_thread = recorder.driver.load(std::memory_order_relaxed);  // the caller's own
  }
  RecordWriter writer(recorder, Tick());
  if (writer.ok()) writer.Put(recorder.thread).Put(recorder.system_thread).Finish(Op::kThread);
}

}  // namespace hakmem::trace
