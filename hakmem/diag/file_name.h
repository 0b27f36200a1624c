// Names of files that an option gives.
#ifndef HAKMEM_DIAG_FILE_NAME_H_
#define HAKMEM_DIAG_FILE_NAME_H_

#include <cstddef>

#include "hakmem/platform/format.h"
#include "hakmem/platform/os.h"

namespace hakmem {

inline bool NamesProcess(const char* pattern) { return strstr(pattern, "%p") != nullptr; }

// `pattern` with the process id for each %p, in `buffer`.
inline const char* FileName(const char* pattern, char* buffer, size_t size) {
  Format name(buffer, size);
  for (; *pattern != 0; ++pattern) {
    if (pattern[0] == '%' && pattern[1] == 'p') {
      name << os::ProcessId();
      ++pattern;
    } else {
      name.Append(pattern, 1);
    }
  }
  return name.text();
}

}  // namespace hakmem

#endif  // HAKMEM_DIAG_FILE_NAME_H_
