// Turns what the recorder wrote into a compact trace: blocks become slots, and calls that cannot be replayed are left
// out.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/flags.h"
#include "bench/replay/trace.h"

ABSL_FLAG(std::string, raw, "", "file that the recorder wrote");
ABSL_FLAG(std::string, trace, "", "file that gets the compact trace");
ABSL_FLAG(int64_t, most_events, 20'000'000, "end the trace after so many events");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "convert --raw=FILE --trace=FILE\n\n"
    "Makes a trace for replay out of a recording. Blocks of 4 GiB and more, and frees of blocks that were never seen, "
    "are "
    "left out.";

class Converter {
 public:
  explicit Converter(std::FILE* out) : out_(out) {}

  void Add(const RawEvent& raw) {
    switch (raw.op()) {
      case Op::kMalloc:
      case Op::kCalloc: Begin(raw.op(), raw.result, raw.size(), 0); return;
      case Op::kAligned:
        Begin(raw.op(), raw.result, raw.size(), static_cast<uint32_t>(__builtin_ctzll(raw.before | uint64_t{1} << 31)));
        return;
      case Op::kFree: End(raw.result); return;
      case Op::kRealloc: Resize(raw); return;
    }
    ++left_out_;
  }

  TraceHeader header() const { return {TraceHeader::kMagic, events_, slots_}; }
  uint64_t left_out() const { return left_out_; }
  bool failed() const { return failed_; }

 private:
  void Begin(Op op, uint64_t block, uint64_t size, uint32_t alignment_log2) {
    // A block that is still alive was resized or freed by another thread whose event comes later.
    if (live_.count(block) != 0) End(block);
    uint32_t slot = slots_;
    if (!free_slots_.empty()) {
      slot = free_slots_.back();
    }
    if (size > UINT32_MAX || slot >= Event::kMostSlots) {
      ++left_out_;
      return;
    }
    if (free_slots_.empty()) {
      ++slots_;
    } else {
      free_slots_.pop_back();
    }
    live_[block] = slot;
    Write(op, alignment_log2, slot, size);
  }

  void End(uint64_t block) {
    const auto found = live_.find(block);
    if (found == live_.end()) {
      ++left_out_;
      return;
    }
    const uint32_t slot = found->second;
    live_.erase(found);
    free_slots_.push_back(slot);
    Write(Op::kFree, 0, slot, 0);
  }

  void Resize(const RawEvent& raw) {
    const auto found = live_.find(raw.before);
    if (found == live_.end()) {
      Begin(Op::kMalloc, raw.result, raw.size(), 0);
      return;
    }
    if (raw.size() > UINT32_MAX) {
      End(raw.before);
      ++left_out_;
      return;
    }
    const uint32_t slot = found->second;
    live_.erase(found);
    if (live_.count(raw.result) != 0) End(raw.result);
    live_[raw.result] = slot;
    Write(Op::kRealloc, 0, slot, raw.size());
  }

  void Write(Op op, uint32_t alignment_log2, uint32_t slot, uint64_t size) {
    const Event event{static_cast<uint32_t>(op), alignment_log2, slot, static_cast<uint32_t>(size)};
    failed_ |= std::fwrite(&event, sizeof(event), 1, out_) != 1;
    ++events_;
  }

  std::FILE* out_;
  std::unordered_map<uint64_t, uint32_t> live_;
  std::vector<uint32_t> free_slots_;
  uint32_t slots_ = 0;
  uint64_t events_ = 0;
  uint64_t left_out_ = 0;
  bool failed_ = false;
};

std::FILE* OpenOrEnd(const std::string& path, const char* mode) {
  std::FILE* file = std::fopen(path.c_str(), mode);
  if (file == nullptr) UsageError(absl::StrCat("'", path, "' cannot be opened: ", std::strerror(errno)));
  return file;
}

int Main(int argc, char** argv) {
  const std::vector<std::string> words = ParseFlags(kUsage, argc, argv);
  if (!words.empty() || absl::GetFlag(FLAGS_raw).empty() || absl::GetFlag(FLAGS_trace).empty()) {
    UsageError("--raw and --trace are needed, and nothing else");
  }
  const int64_t most = absl::GetFlag(FLAGS_most_events);
  CheckRange("most_events", most, 1, int64_t{1} << 40);
  std::FILE* in = OpenOrEnd(absl::GetFlag(FLAGS_raw), "rbe");
  std::FILE* out = OpenOrEnd(absl::GetFlag(FLAGS_trace), "wbe");
  Converter converter(out);
  TraceHeader header = converter.header();
  bool failed = std::fwrite(&header, sizeof(header), 1, out) != 1;
  RawEvent raw;
  while (converter.header().events < static_cast<uint64_t>(most) && std::fread(&raw, sizeof(raw), 1, in) == 1) {
    converter.Add(raw);
  }
  std::fclose(in);
  header = converter.header();
  failed |= std::fseek(out, 0, SEEK_SET) != 0 || std::fwrite(&header, sizeof(header), 1, out) != 1;
  failed |= std::fclose(out) != 0 || converter.failed();
  if (failed) {
    std::fprintf(stderr, "convert: '%s' cannot be written\n", absl::GetFlag(FLAGS_trace).c_str());
    return kExitNoResource;
  }
  std::printf("events: %llu\nslots: %llu\nleft_out: %llu\n", static_cast<unsigned long long>(header.events),
              static_cast<unsigned long long>(header.slots), static_cast<unsigned long long>(converter.left_out()));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
