#include "hakmem/diag/report.h"

#include <stdlib.h>

#include <atomic>

#include "hakmem/config/options.h"
#include "hakmem/platform/build.h"
#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

constexpr int kStandardError = 2;

const char* Describe(Fault fault) {
  switch (fault) {
    case Fault::kForeignPointer: return "pointer that hakmem did not hand out";
    case Fault::kInteriorPointer: return "pointer that is not the start of a block";
    case Fault::kDoubleFree: return "block that is free already (double free)";
    case Fault::kWrongSize: return "block whose size is not the one given";
    case Fault::kWrittenPastEnd: return "block that was written past its end";
    case Fault::kWrittenAfterFree: return "block that was written to after it was freed";
    case Fault::kCorruption: return "block whose bookkeeping is damaged (written after free?)";
  }
  return "?";
}

bool GoesOn(Fault fault) {
  switch (g_options.error_action()) {
    case OnError::kAbort: return false;
    case OnError::kContinue: return true;
    case OnError::kDefault: break;
  }
  return kReleaseBuild && fault == Fault::kForeignPointer;
}

}  // namespace

int ReportFd() {
  static std::atomic<int> fd{-1};
  if (g_options.report == nullptr || *g_options.report == 0) return kStandardError;
  int now = fd.load(std::memory_order_relaxed);  // a lone number; the kernel orders the file
  if (now >= 0) return now;
  int opened = os::OpenForReport(g_options.report);
  if (opened < 0) return kStandardError;
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

void ReportFault(Fault fault, const char* where, const void* ptr, const char* detail) {
  char line[400];
  Format f(line, sizeof(line));
  f << "hakmem: " << where << "(" << AsHex(ptr) << "): " << Describe(fault);
  if (*detail != 0) f << "; " << detail;
  ReportLine(line);
  if (!GoesOn(fault)) abort();
}

void Die(const char* what, const char* file, int line_number) {
  char line[300];
  Format f(line, sizeof(line));
  f << "hakmem: fatal: " << what << " (" << file << ":" << line_number << ")";
  ReportLine(line);
  abort();
}

}  // namespace hakmem
