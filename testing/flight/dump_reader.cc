#include "testing/flight/dump_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hakmem::flight {
namespace {

using ring::DumpEnd;
using ring::DumpHeader;
using ring::DumpSection;
using ring::Record;
using ring::RingSection;
using ring::SectionKind;

// Takes objects off the front of the bytes.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : bytes_(bytes) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  template <class T>
  bool Take(T* out) {
    if (left() < sizeof(T)) return false;
    memcpy(out, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }
  absl::string_view TakeBytes(size_t count) {
    const absl::string_view taken = bytes_.substr(at_, count);
    at_ += taken.size();
    return taken;
  }

 private:
  absl::string_view bytes_;
  size_t at_ = 0;
};

std::string CheckHeader(const DumpHeader& header) {
  if (memcmp(header.magic, ring::kDumpMagic, sizeof(header.magic)) != 0) return "not a dump of hakmem's debug ring";
  if (header.byte_order != ring::kByteOrder) return "written by a machine of another byte order";
  if (header.version != ring::kDumpVersion) {
    return absl::StrCat("has format version ", header.version, "; this tool reads version ", ring::kDumpVersion);
  }
  if (header.header_size != sizeof(DumpHeader) || header.record_size != sizeof(Record)) {
    return "damaged: its header contradicts its version";
  }
  return "";
}

std::string CheckRecord(const Record& record, size_t at) {
  if (record.event >= ring::kEventCount || record.event == 0 || record.sequence == 0) {
    return absl::StrCat("damaged: no event of this kind (", static_cast<int>(record.event), ") at byte ", at);
  }
  return "";
}

std::string ReadRing(absl::string_view bytes, size_t at, DumpFile* dump) {
  Cursor cursor(bytes);
  RingSection head;
  if (!cursor.Take(&head) || cursor.left() % sizeof(Record) != 0) {
    return absl::StrCat("damaged: a ring of ", bytes.size(), " bytes at byte ", at);
  }
  Record record;
  while (cursor.left() != 0) {
    const size_t record_at = at + cursor.at();
    cursor.Take(&record);
    if (std::string error = CheckRecord(record, record_at); !error.empty()) return error;
    dump->records.push_back(record);
  }
  return "";
}

// "start-end r-xp offset device inode   path"
void ReadModules(absl::string_view text, DumpFile* dump) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 6) continue;
    const std::pair<absl::string_view, absl::string_view> range = absl::StrSplit(words[0], absl::MaxSplits('-', 1));
    Module module;
    if (!absl::SimpleHexAtoi(range.first, &module.start) || !absl::SimpleHexAtoi(range.second, &module.end) ||
        !absl::SimpleHexAtoi(words[2], &module.offset)) {
      continue;
    }
    module.path = std::string(line.substr(static_cast<size_t>(words[5].data() - line.data())));
    dump->modules.push_back(std::move(module));
  }
}

std::string ReadEnd(absl::string_view bytes, uint64_t sum, DumpFile* dump) {
  Cursor cursor(bytes);
  DumpEnd end;
  if (!cursor.Take(&end) || cursor.left() != 0) return "damaged: its last section has the wrong length";
  if (end.records != dump->records.size()) {
    return absl::StrCat("damaged: it says ", end.records, " events and has ", dump->records.size());
  }
  if (end.checksum != sum) return "damaged: its checksum does not match its contents";
  dump->overwritten = end.overwritten;
  dump->lost = end.lost;
  return "";
}

// Checksum over bytes of any alignment.
uint64_t SumOf(absl::string_view bytes) {
  std::vector<uint64_t> words(bytes.size() / 8);
  memcpy(words.data(), bytes.data(), words.size() * 8);
  return ring::Checksum(ring::kChecksumStart, words.data(), words.size() * 8);
}

std::string ReadSections(absl::string_view bytes, Cursor cursor, DumpFile* dump) {
  for (;;) {
    const size_t at = cursor.at();
    DumpSection section;
    if (!cursor.Take(&section))
      return absl::StrCat("damaged: it ends at byte ", bytes.size(), " without its last section");
    if (section.bytes > cursor.left()) {
      return absl::StrCat("damaged: it ends at byte ", bytes.size(), ", in the middle of a section of ", section.bytes,
                          " bytes at byte ", at);
    }
    const size_t data_at = cursor.at();
    const absl::string_view data = cursor.TakeBytes(section.bytes);
    cursor.TakeBytes((8 - section.bytes % 8) % 8);
    std::string error;
    switch (section.kind) {
      case SectionKind::kRing: error = ReadRing(data, data_at, dump); break;
      case SectionKind::kModules: ReadModules(data, dump); break;
      case SectionKind::kEnd:
        error = ReadEnd(data, SumOf(bytes.substr(0, at)), dump);
        if (error.empty() && cursor.left() != 0) {
          error = absl::StrCat("damaged: ", cursor.left(), " bytes behind its end");
        }
        return error;
      default:
        error =
            absl::StrCat("damaged: no section of this kind (", static_cast<uint32_t>(section.kind), ") at byte ", at);
    }
    if (!error.empty()) return error;
  }
}

}  // namespace

std::string ReadDump(absl::string_view bytes, DumpFile* dump) {
  *dump = {};
  Cursor cursor(bytes);
  if (bytes.empty()) return "empty";
  if (!cursor.Take(&dump->header)) {
    return absl::StartsWith(bytes, absl::string_view(ring::kDumpMagic, sizeof(ring::kDumpMagic)))
               ? "damaged: it ends within its header"
               : "not a dump of hakmem's debug ring";
  }
  if (std::string error = CheckHeader(dump->header); !error.empty()) return error;
  std::string error = ReadSections(bytes, cursor, dump);
  // Of one moment: a thread's events as it wrote them.
  std::sort(dump->records.begin(), dump->records.end(), [](const Record& a, const Record& b) {
    return std::tie(a.time_ns, a.thread, a.sequence) < std::tie(b.time_ns, b.thread, b.sequence);
  });
  return error;
}

std::string ReadDumpFile(const std::string& path, DumpFile* dump) {
  FILE* file = fopen(path.c_str(), "rb");
  if (file == nullptr) return strerror(errno);
  std::string bytes;
  char piece[1 << 16];
  for (size_t n; (n = fread(piece, 1, sizeof(piece), file)) != 0;) bytes.append(piece, n);
  const bool failed = ferror(file) != 0;
  const int error = errno;
  fclose(file);
  return failed ? strerror(error) : ReadDump(bytes, dump);
}

}  // namespace hakmem::flight
