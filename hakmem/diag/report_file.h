// Where messages go: standard error, or the file of HAKMEM_REPORT.
#ifndef HAKMEM_DIAG_REPORT_FILE_H_
#define HAKMEM_DIAG_REPORT_FILE_H_

namespace hakmem {

// A descriptor that stays open.
int ReportFd();

// One line, with its line end added, in a single write(2), so that lines of two threads never mix.
void ReportLine(const char* line);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_REPORT_FILE_H_
