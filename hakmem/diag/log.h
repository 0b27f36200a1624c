// The debug log: HAK_LOG(kInfo, "thread ", id, " has heap ", n). Lines go where reports go, each in a single write.
//
// HAKMEM_LOG chooses the level. Release builds hold nothing of it, not even the texts: they all begin with one word,
// which a test looks for in the library. Nothing allocates, and a line may be written in a signal handler.
#ifndef HAKMEM_DIAG_LOG_H_
#define HAKMEM_DIAG_LOG_H_

#include "hakmem/config/options.h"
#include "hakmem/diag/report_file.h"
#include "hakmem/platform/build.h"
#include "hakmem/platform/compiler.h"
#include "hakmem/platform/format.h"
#include "hakmem/platform/os.h"

namespace hakmem {

enum class LogLevel : uint8_t {
  kError = 1,  // something failed that should not have
  kWarning,    // something failed, and the program may notice
  kInfo,       // what happens seldom: threads, the window, forks
  kDebug,      // what happens often: superslabs
};

inline bool LogWants(LogLevel level) { return g_options.log >= static_cast<uint64_t>(level); }

template <class... Values>
HAK_COLD void WriteLog(const char* text, Values... values) {
  char line[300];
  Format f(line, sizeof(line));
  f << text;
  ((f << values), ...);
  f << " (thread " << os::ThreadId() << ")";
  ReportLine(line);
}

}  // namespace hakmem

// `text` is a literal; values follow that Format takes.
#define HAK_LOG(level, text, ...)                                           \
  do {                                                                      \
    if constexpr (!::hakmem::kReleaseBuild) {                               \
      if (HAK_UNLIKELY(::hakmem::LogWants(::hakmem::LogLevel::level))) {    \
        ::hakmem::WriteLog("hakmem-log: " text __VA_OPT__(, ) __VA_ARGS__); \
      }                                                                     \
    }                                                                       \
  } while (0)

#endif  // HAKMEM_DIAG_LOG_H_
