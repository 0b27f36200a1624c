#include "testing/flight/time_line.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "hakmem/superslab/remote_word.h"
#include "hakmem/superslab/size_classes.h"

namespace hakmem::flight {
namespace {

using ring::Event;
using ring::Record;

bool Within(uint64_t address, uint64_t start, uint64_t size) { return address - start < size; }

const SizeClass* ClassOf(const Record& record) {
  return record.slab != 0 && record.size_class < kClasses ? &kSizeClasses[record.size_class] : nullptr;
}

bool SlabHolds(const Record& record, uint64_t address) {
  const SizeClass* c = ClassOf(record);
  return c != nullptr && Within(address, record.slab, c->span * kSlabSize);
}

// Events that name a block, as opposed to a slab or a mapping.
bool NamesBlock(Event event) {
  return event == Event::kMalloc || event == Event::kFree || event == Event::kRealloc || event == Event::kFault;
}

bool Concerns(const Record& record, uint64_t address) {
  const Event event = static_cast<Event>(record.event);
  if (NamesBlock(event)) {
    const SizeClass* c = ClassOf(record);
    const uint64_t size = c != nullptr ? c->block_size : record.value;
    return record.pointer == address || Within(address, record.pointer, size);
  }
  if (record.slab != 0) return SlabHolds(record, address);
  return Within(address, record.pointer, record.value);
}

std::string ValueOf(const Record& record) {
  const Event event = static_cast<Event>(record.event);
  if (event == Event::kRefill) {
    return absl::StrCat("source ", record.value < ring::kSourceCount ? ring::kSourceNames[record.value] : "?");
  }
  const char* label = ring::kEventRows[record.event].value;
  return *label == 0 ? "" : absl::StrCat(label, " ", record.value);
}

std::string OwnerOf(const Record& record) {
  if (record.slab == 0) return "-";
  if (record.owner == kNoHeap) return "nobody";
  return record.owner == kRetired ? "retired" : absl::StrCat("heap ", record.owner);
}

}  // namespace

bool Fits(const Filter& filter, const Record& record) {
  if (filter.thread.has_value() && record.thread != *filter.thread) return false;
  if (filter.size_class.has_value() && (record.slab == 0 || record.size_class != *filter.size_class)) return false;
  if (filter.slab.has_value() && !SlabHolds(record, *filter.slab)) return false;
  return !filter.pointer.has_value() || Concerns(record, *filter.pointer);
}

std::string Names::Of(uint64_t address) {
  for (const Module& module : modules_) {
    if (!Within(address, module.start, module.end - module.start)) continue;
    const std::string base = module.path.substr(module.path.rfind('/') + 1);
    std::unique_ptr<ElfFile>& file = files_[module.path];
    if (file == nullptr) {
      file = std::make_unique<ElfFile>();
      // A file that is gone has no names; the offset below is what is left.
      static_cast<void>(file->Open(module.path.c_str()));
    }
    uint64_t in_file;
    if (!file->AddressOf(address - module.start + module.offset, &in_file)) {
      return absl::StrFormat("%s+0x%x", base, address - module.start + module.offset);
    }
    // A return address may stand behind the end of a function that ends with the call.
    ElfFile::Symbol symbol;
    if (!file->FindFunction(in_file - 1, &symbol)) return absl::StrFormat("%s+0x%x", base, in_file);
    return absl::StrFormat("%s+0x%x (%s+0x%x)", symbol.name, in_file - symbol.start, base, in_file);
  }
  return absl::StrFormat("0x%x", address);
}

std::string HeadLine() {
  return absl::StrFormat("%14s  %7s  %-13s  %-14s  %-22s  %-19s  %-7s  %s", "seconds", "thread", "event", "pointer",
                         "class", "slab", "owner", "what");
}

std::string LineOf(const Record& record, uint64_t start_ns, Names& names) {
  const SizeClass* c = ClassOf(record);
  const uint64_t since = record.time_ns - start_ns;
  std::string line = absl::StrFormat(
      "%4d.%09d  %7d  %-13s  %-14s  %-22s  %-19s  %-7s  %s", since / 1000000000, since % 1000000000, record.thread,
      ring::kEventRows[record.event].text, record.pointer != 0 ? absl::StrFormat("0x%x", record.pointer) : "-",
      c != nullptr ? absl::StrFormat("class %d, %d bytes", record.size_class, c->block_size) : "-",
      record.slab != 0 ? absl::StrFormat("slab 0x%x", record.slab) : "-", OwnerOf(record), ValueOf(record));
  if (record.caller != 0) absl::StrAppend(&line, " from ", names.Of(record.caller));
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace hakmem::flight
