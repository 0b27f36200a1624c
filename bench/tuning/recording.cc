#include "bench/tuning/recording.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "bench/replay/trace.h"

namespace hakmem::bench {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// Appends what one event does to the blocks; false when the event makes no sense.
bool Append(const Event& event, std::vector<bool>* alive, Recording* recording) {
  if (event.slot >= recording->slots) return false;
  const uint32_t slot = event.slot;
  const auto end = [&] {
    if ((*alive)[slot]) recording->uses.push_back({slot, Use::kEnd});
    (*alive)[slot] = false;
  };
  switch (static_cast<Op>(event.op)) {
    case Op::kMalloc:
    case Op::kCalloc:
    case Op::kAligned:
    case Op::kRealloc:
      end();
      recording->uses.push_back({slot, event.size == Use::kEnd ? event.size - 1 : event.size});
      (*alive)[slot] = true;
      return true;
    case Op::kFree: end(); return true;
  }
  return false;
}

}  // namespace

bool ReadRecording(const std::string& path, Recording* recording, std::string* fault) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) {
    *fault = absl::StrCat(path, ": ", std::strerror(errno));
    return false;
  }
  TraceHeader header{};
  if (std::fread(&header, sizeof(header), 1, file.get()) != 1 || header.magic != TraceHeader::kMagic ||
      header.slots > Event::kMostSlots) {
    *fault = absl::StrCat(path, ": no trace of bench/replay");
    return false;
  }
  recording->name = path.substr(path.rfind('/') + 1);
  if (recording->name.rfind("trace-", 0) == 0) recording->name = recording->name.substr(6);
  recording->slots = static_cast<uint32_t>(header.slots);
  std::vector<bool> alive(header.slots, false);
  Event event;
  for (uint64_t i = 0; i < header.events; ++i) {
    if (std::fread(&event, sizeof(event), 1, file.get()) != 1 || !Append(event, &alive, recording)) {
      *fault = absl::StrCat(path, ": event ", i, " is missing or of an unknown kind");
      return false;
    }
  }
  return true;
}

}  // namespace hakmem::bench
