// What the crash handler says.
#ifndef HAKMEM_DIAG_CRASH_REPORT_H_
#define HAKMEM_DIAG_CRASH_REPORT_H_

#include <signal.h>
#include <ucontext.h>

#include "hakmem/diag/report_text.h"

namespace hakmem {

// The report of a signal, into the buffer. Async-signal-safe.
void WriteCrash(ReportText& report, const siginfo_t& info, const ucontext_t& context);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_CRASH_REPORT_H_
