// Recordings of programs, in whatever form they were kept.
//
//   const Recording recording = LoadRecording(path);
//   if (!recording.readable) ...;             // recording.error says why
//   if (!recording.error.empty()) ...;        // damaged or cut short; the stream holds what stands before
//   op_stream::Execute(recording.stream, op_stream::HakAllocator());
#ifndef TESTING_RECORDING_RECORDING_H_
#define TESTING_RECORDING_RECORDING_H_

#include <string>
#include <string_view>

#include "testing/op_stream/op_stream.h"

namespace hakmem::recording {

struct Recording {
  op_stream::Stream stream = {};  // valid
  std::string error = {};         // empty when the file is whole and sound
  std::string note = {};          // what the stream cannot show of the program, for people; may be empty
  bool readable = false;          // there is a stream, if only of the part before an error
  bool raw = false;               // as HAKMEM_TRACE writes it
};

// The form is known by the first bytes: HAKMEM_TRACE's own, op_stream's file form or op_stream's text.
Recording ReadRecording(std::string_view bytes);
Recording LoadRecording(const std::string& path);

// The contents of a file, or nothing with the reason in `error`; and the reverse, empty when all was written.
bool ReadFile(const std::string& path, std::string* bytes, std::string* error);
std::string WriteFile(const std::string& path, std::string_view bytes);

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_RECORDING_H_
