#include "hakmem/diag/report_text.h"

#include <atomic>
#include <new>

#include "hakmem/diag/report_file.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/store_if_other.h"

namespace hakmem {
namespace {

constexpr uint64_t kMostMs = 1000;
// Pipes take this much at once or not at all (POSIX, PIPE_BUF; 4096 on Linux), when poll(2) says that they take
// anything.
constexpr size_t kPipeBytes = 4096;

// The thread that makes a report; 0: nobody. Its own thread compares it with its id, so a number is enough.
constinit std::atomic<uint32_t> reporter{0};
alignas(ReportText) char storage[sizeof(ReportText)];

ReportText* Text() { return reinterpret_cast<ReportText*>(storage); }

}  // namespace

ReportText* ReportText::Begin() {
  const uint32_t me = static_cast<uint32_t>(os::ThreadId());
  const uint64_t deadline = os::NowMs() + kMostMs;
  uint32_t other = 0;
  // Acquire: the buffer is as the last reporter left it.
  while (!reporter.compare_exchange_strong(other, me, std::memory_order_acquire, std::memory_order_relaxed)) {
    if (other == me || os::NowMs() >= deadline) return nullptr;
    os::FutexWaitMs(&reporter, other, 20);
    other = 0;
  }
  ReportText* text = new (storage) ReportText;
  text->deadline_ms_ = os::NowMs() + kMostMs;
  text->start_ns_ = os::NowNs();
  return text;
}

bool ReportText::InOne() {
  return reporter.load(std::memory_order_relaxed) == static_cast<uint32_t>(os::ThreadId());  // own stores are seen
}

void ReportText::ForgetInChild() { StoreIfOther(reporter, uint32_t{0}); }

ReportText* ReportText::Current() { return Text(); }

Format& ReportText::Line() {
  if (text_.length() != 0) text_ << "\n";
  return text_ << "hakmem: ";
}

bool ReportText::Late() const { return os::NowMs() >= deadline_ms_; }

void ReportText::Send() {
  text_ << "\n";
  WriteUntil(ReportFd(), text_.text(), text_.length(), deadline_ms_);
  text_ = Format(buffer_, kBytes);
}

void ReportText::End() {
  Send();
  reporter.store(0, std::memory_order_release);  // the next reporter finds the buffer as we left it
  os::FutexWake(&reporter, 1);
}

bool WriteUntil(int fd, const char* data, size_t size, uint64_t deadline_ms) {
  const bool is_file = os::IsSeekable(fd);
  while (size != 0) {
    const uint64_t now = os::NowMs();
    // When the time is over without waiting: a process that was stopped meanwhile has something to say all the same.
    if (!os::WaitWritable(fd, now < deadline_ms ? deadline_ms - now : 0)) return false;
    const size_t most = is_file || size < kPipeBytes ? size : kPipeBytes;
    const intptr_t n = os::WriteOnce(fd, data, most);
    if (n < 0 && !os::IsTransient(n)) return false;
    if (n <= 0 && now >= deadline_ms) return false;  // else one that is writable and takes nothing would hold us up
    if (n > 0) {
      data += n;
      size -= static_cast<size_t>(n);
    }
  }
  return true;
}

}  // namespace hakmem
