// Repeats the calls of a recorded program, in the recorded order and in one thread; both ends of every block are
// written and checked. The trace is read in small pieces, and the table of blocks is a mapping of its own, so that the
// heap holds what the program's heap held and nothing else.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/replay/trace.h"

ABSL_FLAG(std::string, trace, "", "trace made by convert");
ABSL_FLAG(int64_t, repeat, 1, "how often it is replayed; what is left alive at the end is freed each time");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "replay --trace=FILE [flags]\n\n"
    "Repeats a recorded program's calls in one thread. An operation is one call.";

struct Slot {
  void* block;
  size_t size;
};

class Replay {
 public:
  Replay(int file, const TraceHeader& header) : file_(file), header_(header) {
    void* table =
        mmap(nullptr, header.slots * sizeof(Slot) + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) ReportNoMemory(header.slots * sizeof(Slot));
    slots_ = static_cast<Slot*>(table);
  }

  void Run() {
    if (lseek(file_, sizeof(TraceHeader), SEEK_SET) < 0) End("cannot be read from its start");
    static Event events[4096];
    for (uint64_t left = header_.events; left > 0;) {
      const size_t wanted = std::min<uint64_t>(left, std::size(events));
      const ssize_t got = read(file_, events, wanted * sizeof(Event));
      if (got != static_cast<ssize_t>(wanted * sizeof(Event))) End("is shorter than its header says");
      for (size_t i = 0; i < wanted; ++i) Do(events[i]);
      left -= wanted;
    }
    for (uint64_t i = 0; i < header_.slots; ++i) Drop(&slots_[i]);
  }

 private:
  [[noreturn]] static void End(const char* fault) {
    UsageError(absl::StrCat("the trace '", absl::GetFlag(FLAGS_trace), "' ", fault));
  }

  static void Drop(Slot* slot) {
    if (slot->block == nullptr) return;
    DropBlock(slot->block, slot->size);
    slot->block = nullptr;
  }

  static void Put(Slot* slot, void* block, size_t size) {
    if (__builtin_expect(block == nullptr, 0)) ReportNoMemory(size);
    slot->block = block;
    slot->size = size;
    StampBlock(block, size);
  }

  // malloc(0) may give NULL; a byte more asks for the same class everywhere.
  static size_t AtLeastOne(size_t size) { return size == 0 ? 1 : size; }

  void Do(const Event& event) {
    if (__builtin_expect(event.slot >= header_.slots, 0)) End("names more slots than its header");
    Slot* slot = &slots_[event.slot];
    const size_t size = AtLeastOne(event.size);
    switch (static_cast<Op>(event.op)) {
      case Op::kMalloc:
        Drop(slot);
        Put(slot, std::malloc(size), size);
        return;
      case Op::kCalloc:
        Drop(slot);
        Put(slot, std::calloc(1, size), size);
        return;
      case Op::kAligned: {
        Drop(slot);
        void* block = nullptr;
        const size_t alignment = std::max(size_t{1} << event.alignment_log2, sizeof(void*));
        if (posix_memalign(&block, alignment, size) != 0) ReportNoMemory(size);
        Put(slot, block, size);
        return;
      }
      case Op::kRealloc: {
        if (slot->block != nullptr) CheckBlock(slot->block, slot->size);
        Put(slot, std::realloc(slot->block, size), size);
        return;
      }
      case Op::kFree: Drop(slot); return;
    }
    End("has an event of an unknown kind");
  }

  const int file_;
  const TraceHeader header_;
  Slot* slots_;
};

int Main(int argc, char** argv) {
  Load load("replay", kUsage, argc, argv);
  load.RefuseWords();
  const std::string path = absl::GetFlag(FLAGS_trace);
  const int64_t repeat = absl::GetFlag(FLAGS_repeat);
  CheckRange("repeat", repeat, 1, 1'000'000);
  if (path.empty()) UsageError("--trace is needed");
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) UsageError(absl::StrCat("'", path, "' cannot be opened: ", std::strerror(errno)));
  TraceHeader header{};
  if (read(file, &header, sizeof(header)) != sizeof(header) || header.magic != TraceHeader::kMagic) {
    UsageError(absl::StrCat("'", path, "' is no trace"));
  }
  if (header.slots > Event::kMostSlots) UsageError(absl::StrCat("'", path, "' has a damaged header"));
  Replay replay(file, header);
  load.Start();
  for (int64_t i = 0; i < repeat; ++i) replay.Run();
  load.Finish(header.events * static_cast<uint64_t>(repeat));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
