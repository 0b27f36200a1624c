#include "testing/recording/recording.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "testing/op_stream/codec.h"
#include "testing/op_stream/text.h"
#include "testing/recording/raw_file.h"

namespace hakmem::recording {
namespace {

Recording OfDecoded(op_stream::Decoded decoded) {
  return {.stream = std::move(decoded.stream), .error = std::move(decoded.error), .readable = decoded.readable};
}

}  // namespace

Recording ReadRecording(std::string_view bytes) {
  if (IsRawFile(bytes)) {
    RawFile raw = ReadRawFile(bytes);
    Recording out{.error = std::move(raw.error), .readable = raw.readable, .raw = true};
    if (!raw.readable) return out;
    out.stream = BuildStream(raw.events, &raw.oddities);
    const std::string oddities = raw.oddities.ToText();
    out.note = absl::StrCat(raw.note, raw.note.empty() || oddities.empty() ? "" : "; ", oddities);
    return out;
  }
  if (bytes.substr(0, 4) == op_stream::kFileMagic) return OfDecoded(op_stream::DecodeFile(bytes));
  const bool text = bytes.find('\0') == bytes.npos && bytes.find("stream") < 4096;
  if (text) return OfDecoded(op_stream::ParseText(bytes));
  return {.error = bytes.empty() ? "the file is empty"
                                 : "this is no recording: neither HAKMEM_TRACE's (it would begin with HAKTRACE) nor a "
                                   "stream (HKOS, or text that begins with 'stream')"};
}

Recording LoadRecording(const std::string& path) {
  std::string bytes;
  Recording out;
  if (!ReadFile(path, &bytes, &out.error)) return out;
  return ReadRecording(bytes);
}

bool ReadFile(const std::string& path, std::string* bytes, std::string* error) {
  FILE* file = fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    *error = strerror(errno);
    return false;
  }
  std::string piece(1 << 16, '\0');
  for (size_t got; (got = fread(piece.data(), 1, piece.size(), file)) > 0;) bytes->append(piece, 0, got);
  const bool sound = ferror(file) == 0;
  if (!sound) *error = strerror(errno);
  fclose(file);
  return sound;
}

std::string WriteFile(const std::string& path, std::string_view bytes) {
  FILE* file = fopen(path.c_str(), "wbe");
  if (file == nullptr) return strerror(errno);
  bool sound = fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  sound &= fclose(file) == 0;
  return sound ? "" : strerror(errno);
}

}  // namespace hakmem::recording
