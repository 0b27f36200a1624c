// The debug ring as a file. Composed in a small buffer on the stack: no allocation, no lock, any thread at any time.

#include <cstring>

#include "hakmem/config/options.h"
#include "hakmem/diag/file_name.h"
#include "hakmem/diag/ring.h"
#include "hakmem/platform/os.h"

namespace hakmem::ring {
namespace {

class Writer {
 public:
  explicit Writer(int fd) : fd_(fd) {}

  void Put(const void* data, size_t bytes) {
    const char* from = static_cast<const char*>(data);
    while (bytes != 0 && ok_) {
      const size_t room = sizeof(buffer_) - used_;
      const size_t n = bytes < room ? bytes : room;
      memcpy(buffer_ + used_, from, n);
      used_ += n;
      from += n;
      bytes -= n;
      if (used_ == sizeof(buffer_)) Flush();
    }
  }

  // The checksum of all that was put so far, of which the length is a multiple of 8.
  uint64_t Sum() {
    Flush();
    return sum_;
  }
  bool Flush() {
    if (used_ != 0 && ok_) {
      sum_ = Checksum(sum_, buffer_, used_);
      ok_ = os::Write(fd_, reinterpret_cast<const char*>(buffer_), used_);
      used_ = 0;
    }
    return ok_;
  }
  bool ok() const { return ok_; }

 private:
  const int fd_;
  bool ok_ = true;
  size_t used_ = 0;
  uint64_t sum_ = kChecksumStart;
  alignas(8) unsigned char buffer_[4096];
};

// Records of a ring come and go while it is dumped, so that their number is not known ahead: they are gathered, and
// written as sections of up to so many records.
constexpr size_t kAtOnce = 32;

struct Dumper {
  explicit Dumper(int fd) : out(fd) {}

  Writer out;
  RingInfo ring = {};
  Record records[kAtOnce];
  size_t count = 0;
  uint64_t total = 0;
  uint64_t overwritten = 0;

  void PutRecords() {
    if (count == 0) return;
    const DumpSection section = {SectionKind::kRing, 0, sizeof(RingSection) + count * sizeof(Record)};
    const RingSection head = {ring.written, ring.capacity, ring.thread};
    out.Put(&section, sizeof(section));
    out.Put(&head, sizeof(head));
    out.Put(records, count * sizeof(Record));
    total += count;
    count = 0;
  }
};

// The lines of /proc/self/maps that are executable, as one section for each buffer full.
class ModuleLines {
 public:
  explicit ModuleLines(Writer& out) : out_(out) {}

  void CopyAll() {
    const int fd = os::OpenForRead("/proc/self/maps");
    if (fd < 0) return;
    char piece[1024];
    for (intptr_t n; (n = os::Read(fd, piece, sizeof(piece))) > 0;) {
      for (intptr_t i = 0; i < n; ++i) Add(piece[i]);
    }
    os::Close(fd);
    PutLines();
  }

 private:
  void Add(char c) {
    if (length_ < sizeof(line_)) line_[length_++] = c;
    if (c != '\n') return;
    line_[length_ - 1] = '\n';  // a longer line is cut
    // "start-end rwxp …"
    const char* space = static_cast<const char*>(memchr(line_, ' ', length_));
    if (space != nullptr && space + 3 < line_ + length_ && space[3] == 'x') {
      if (used_ + length_ > sizeof(lines_)) PutLines();
      memcpy(lines_ + used_, line_, length_);
      used_ += length_;
    }
    length_ = 0;
  }
  void PutLines() {
    if (used_ == 0) return;
    const DumpSection section = {SectionKind::kModules, 0, used_};
    out_.Put(&section, sizeof(section));
    out_.Put(lines_, used_);
    static constexpr char kPadding[8] = {};
    out_.Put(kPadding, (8 - used_ % 8) % 8);
    used_ = 0;
  }

  Writer& out_;
  char line_[512];
  size_t length_ = 0;
  char lines_[2048];
  size_t used_ = 0;
};

}  // namespace

bool Dump(int fd) {
  if (!g_on) return false;
  Dumper dumper(fd);
  DumpHeader header = {};
  memcpy(header.magic, kDumpMagic, sizeof(header.magic));
  header.byte_order = kByteOrder;
  header.version = kDumpVersion;
  header.header_size = sizeof(DumpHeader);
  header.record_size = sizeof(Record);
  header.time_ns = os::NowNs();
  header.unix_ns = os::UnixNs();
  header.process = static_cast<uint32_t>(os::ProcessId());
  dumper.out.Put(&header, sizeof(header));
  Visit({[](const RingInfo& info, void* context) {
           Dumper& d = *static_cast<Dumper*>(context);
           d.PutRecords();
           d.ring = info;
           if (info.written > info.capacity) d.overwritten += info.written - info.capacity;
           return d.out.ok();
         },
         [](const Record& record, void* context) {
           Dumper& d = *static_cast<Dumper*>(context);
           d.records[d.count++] = record;
           if (d.count == kAtOnce) d.PutRecords();
           return d.out.ok();
         },
         &dumper});
  dumper.PutRecords();
  ModuleLines(dumper.out).CopyAll();
  const DumpEnd end = {dumper.total, dumper.overwritten, Lost(), dumper.out.Sum()};
  const DumpSection section = {SectionKind::kEnd, 0, sizeof(end)};
  dumper.out.Put(&section, sizeof(section));
  dumper.out.Put(&end, sizeof(end));
  return dumper.out.Flush();
}

const char* DumpFileName(char* buffer, size_t size) {
  const char* pattern = g_options.ring_file;
  if (pattern == nullptr || *pattern == 0) pattern = "hakmem-ring.%p";
  return FileName(pattern, buffer, size);
}

bool DumpToFile() {
  if (!g_on) return false;
  char name[4096];
  const int fd = os::OpenForDump(DumpFileName(name, sizeof(name)));
  if (fd < 0) return false;
  const bool done = Dump(fd);
  os::Close(fd);
  return done;
}

}  // namespace hakmem::ring
