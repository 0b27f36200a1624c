// One report at a time: its text, which is gathered whole and then written, and the second that it may take.
//
// There is one buffer in the process. Who wants to report waits for it, for a second at the most, and then does
// without: two threads that fail at once give two whole reports or one, never a mixture. Nothing here allocates; a pipe
// that nobody reads, or a report that fails itself, ends the report and not the program's death.
#ifndef HAKMEM_DIAG_REPORT_TEXT_H_
#define HAKMEM_DIAG_REPORT_TEXT_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/format.h"

namespace hakmem {

class ReportText {
 public:
  // The report of the calling thread; nullptr when another thread's takes too long, or the caller is in one already.
  static ReportText* Begin();

  // Whether the calling thread is in a report: it failed while it made one.
  static bool InOne();
  // The text so far of that report, to be sent as it is.
  static ReportText* Current();

  // In a forked child, while it has one thread: a report of a thread that is gone ends.
  static void ForgetInChild();

  // Begins a line; what is appended goes there.
  Format& Line();

  // When it began, in os::NowNs.
  uint64_t start_ns() const { return start_ns_; }

  // The report's second is over: what is left is left out.
  bool Late() const;

  // Sends what was gathered. The buffer is still the caller's.
  void Send();

  // Sends, and lets others report.
  void End();

 private:
  static constexpr size_t kBytes = 24 << 10;

  char buffer_[kBytes];
  Format text_{buffer_, kBytes};
  uint64_t deadline_ms_ = 0;
  uint64_t start_ns_ = 0;
};

// Writes, and waits for the descriptor to take it until `deadline_ms` (os::NowMs) at the latest. False when not all of
// it was written.
bool WriteUntil(int fd, const char* data, size_t size, uint64_t deadline_ms);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_REPORT_TEXT_H_
