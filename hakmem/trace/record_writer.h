// Writes one record of a recorder's stream.
#ifndef HAKMEM_TRACE_RECORD_WRITER_H_
#define HAKMEM_TRACE_RECORD_WRITER_H_

#include <atomic>
#include <cstdint>

#include "hakmem/platform/compiler.h"
#include "hakmem/trace/recorder.h"
#include "hakmem/trace/trace_file.h"
#include "hakmem/trace/trace_format.h"

namespace hakmem::trace {

// begin (a writer), fields, Finish. The byte of the operation is stored last: a record without it is none.
class RecordWriter {
 public:
  // A record of the tick `now`, or a later one. ok() tells whether there is one to be written.
  HAK_ALWAYS_INLINE RecordWriter(Recorder& recorder, uint64_t now) : recorder_(recorder) {
    if (HAK_UNLIKELY(recorder.writing)) {
      file::CountLost();
      return;
    }
    recorder.writing = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);  // a signal handler finds the recorder busy, or as it was
    if (HAK_UNLIKELY(recorder.at >= recorder.limit) && !NewChunk(recorder, now)) {
      recorder.writing = false;
      return;
    }
    // Counters of two processors may differ a little, and so may what a record waited for. Later is right for both:
    // what was got is still the thread's, what is given back is not given back yet.
    if (HAK_UNLIKELY(now < recorder.tick)) now = recorder.tick;
    at_ = recorder.at + 1;
    Put(now - recorder.tick);
    recorder.tick = now;
  }
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  bool ok() const { return at_ != nullptr; }
  uint64_t tick() const { return recorder_.tick; }

  HAK_ALWAYS_INLINE RecordWriter& Put(uint64_t number) {
    while (number >= 0x80) {
      *at_++ = static_cast<unsigned char>(number | 0x80);
      number >>= 7;
    }
    *at_++ = static_cast<unsigned char>(number);
    return *this;
  }

  HAK_ALWAYS_INLINE RecordWriter& PutBlock(const void* p) {
    const uint64_t block = reinterpret_cast<uintptr_t>(p) >> kBlockShift;
    Put(Fold(block - recorder_.block));
    recorder_.block = block;
    return *this;
  }

  HAK_ALWAYS_INLINE void Finish(uint8_t op) {
    // Release: the record is whole when the operation can be read, whenever the process is killed.
    __atomic_store_n(recorder_.at, op, __ATOMIC_RELEASE);
    recorder_.at = at_;
    std::atomic_signal_fence(std::memory_order_seq_cst);  // as in the constructor
    recorder_.writing = false;
  }
  HAK_ALWAYS_INLINE void Finish(Op op) { Finish(static_cast<uint8_t>(op)); }

 private:
  Recorder& recorder_;
  unsigned char* at_ = nullptr;
};

}  // namespace hakmem::trace

#endif  // HAKMEM_TRACE_RECORD_WRITER_H_
