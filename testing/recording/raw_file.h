// Reads recordings as HAKMEM_TRACE writes them (hakmem/trace/trace_format.h).
#ifndef TESTING_RECORDING_RAW_FILE_H_
#define TESTING_RECORDING_RAW_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "testing/recording/events.h"

namespace hakmem::recording {

struct RawFile {
  std::vector<Event> events;  // of all threads, in order
  Oddities oddities;
  std::string error;      // empty when the file is whole and sound; else the events are those before the damage
  std::string note;       // that the recording ended early, or began in a fork; may be empty
  bool readable = false;  // the header at least was sound
};

bool IsRawFile(std::string_view bytes);
RawFile ReadRawFile(std::string_view bytes);

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_RAW_FILE_H_
