#include "hakmem/diag/report_file.h"

#include <atomic>

#include "hakmem/config/options.h"
#include "hakmem/platform/format.h"
#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

constexpr int kStandardError = 2;

}  // namespace

int ReportFd() {
  static std::atomic<int> fd{-1};
  if (g_options.report == nullptr || *g_options.report == 0) return kStandardError;
  int now = fd.load(std::memory_order_relaxed);  // a lone number; the kernel orders the file
  if (now >= 0) return now;
  int opened = os::OpenForReport(g_options.report);
  if (opened < 0) {
    static std::atomic<bool> told{false};
    constexpr char kLine[] = "hakmem: HAKMEM_REPORT: the file cannot be opened, messages come here\n";
    if (!told.exchange(true, std::memory_order_relaxed)) {  // a lone flag
      os::Write(kStandardError, kLine, sizeof(kLine) - 1);
    }
    return kStandardError;
  }
  if (!fd.compare_exchange_strong(now, opened, std::memory_order_relaxed)) {  // as above
    os::Close(opened);
    return now;
  }
  return opened;
}

void ReportLine(const char* line) {
  char buffer[512];
  Format f(buffer, sizeof(buffer) - 1);
  f << line;
  buffer[f.length()] = '\n';
  os::Write(ReportFd(), buffer, f.length() + 1);
}

}  // namespace hakmem
