// The end of a report: what to run next.
#ifndef HAKMEM_DIAG_NEXT_STEPS_H_
#define HAKMEM_DIAG_NEXT_STEPS_H_

#include <cstdint>

#include "hakmem/diag/report.h"
#include "hakmem/diag/report_parts.h"

namespace hakmem {

// `address` is what the report is about, 0 for nothing.
void WriteNextSteps(ReportText& report, Fault fault, uint64_t address, const CodePlace& place);

// The part that every report ends with.
void WriteWhereToLook(ReportText& report, uint64_t address, const CodePlace& place);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_NEXT_STEPS_H_
