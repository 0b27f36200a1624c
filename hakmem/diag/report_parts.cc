#include "hakmem/diag/report_parts.h"

#include <cstring>
#include <initializer_list>

#include "hakmem/diag/ring_format.h"
#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

using ring::Event;
using ring::Record;

constexpr size_t kMostFrames = 40;
constexpr size_t kLastEvents = 24;

Describer describer = nullptr;
alignas(Modules) char modules_storage[sizeof(Modules)];

const char* BaseName(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

// Where a program's mistake is not.
bool IsSystemLibrary(const char* name) {
  for (const char* start : {"libhakmem", "libc.", "libc-", "ld-linux", "libpthread", "libstdc++", "libc++"}) {
    if (strncmp(name, start, strlen(start)) == 0) return true;
  }
  return false;
}

// Nor there: hakmem's own functions, in a library of whatever name or linked to the program.
bool IsAllocator(const char* function) {
  for (const char* start : {"_ZN6hakmem", "_ZNK6hakmem", "_ZZN6hakmem", "_ZZNK6hakmem", "_Znw", "_Zna", "_Zdl", "_Zda",
                            "hak_", "hakmem_", "__libc_"}) {
    if (strncmp(function, start, strlen(start)) == 0) return true;
  }
  for (const char* name :
       {"malloc", "calloc", "realloc", "reallocarray", "free", "cfree", "free_sized", "free_aligned_sized",
        "aligned_alloc", "memalign", "posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "malloc_trim"}) {
    if (strcmp(function, name) == 0) return true;
  }
  return false;
}

bool IsAllocation(const Record& r) {
  return r.event == static_cast<uint8_t>(Event::kMalloc) || r.event == static_cast<uint8_t>(Event::kRealloc);
}

// "0.0123 s": how long ago a record was written.
void WriteAgo(Format& line, const ReportText& report, uint64_t time_ns) {
  const uint64_t us = (report.start_ns() > time_ns ? report.start_ns() - time_ns : 0) / 1000;
  char digits[8];
  uint64_t rest = us % 1000000;
  for (int i = 5; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  digits[6] = 0;
  line << us / 1000000 << "." << digits << " s";
}

void WriteDeed(ReportText& report, Modules& modules, const char* what, const Record& record) {
  Format& line = report.Line();
  line << "    " << what << " by thread " << record.thread << ", ";
  WriteAgo(line, report, record.time_ns);
  line << " ago";
  if (record.caller != 0) {
    line << ", in ";
    WriteCode(line, modules, record.caller, true);
  }
}

void WriteHistory(ReportText& report, Modules& modules, const BlockHistory& history) {
  if (history.allocated.sequence != 0) WriteDeed(report, modules, "last allocated", history.allocated);
  if (history.freed.sequence != 0) WriteDeed(report, modules, "last freed", history.freed);
  if (history.allocated.sequence == 0 && history.freed.sequence == 0) {
    report.Line() << (ring::On() ? "    the debug ring knows nothing of it any more"
                                 : "    who allocated and who freed it is known with HAKMEM_RING=65536");
  }
}

const char* TextOf(AddressInfo::State state) {
  switch (state) {
    case AddressInfo::State::kLive: return "in use by the program";
    case AddressInfo::State::kFree: return "free";
    case AddressInfo::State::kNeverUsed: return "free, was not handed out since its slab began";
    default: return "in a state that is not known";
  }
}

void WriteSlab(ReportText& report, const AddressInfo& info) {
  Format& line = report.Line();
  line << "    slab: " << Hex{info.slab} << ", " << info.slab_size / 1024 << " KiB, in superslab "
       << Hex{info.superslab};
  if (!info.slab_in_use) {
    line << "; not in use any more";
  } else if (info.owner == 0) {
    line << "; owned by nobody";
  } else {
    line << "; owned by heap " << info.owner;
    if (!info.owner_driven) {
      line << ", which no thread drives now";
    } else if (info.owner_thread != 0) {
      line << " of thread " << info.owner_thread;
    } else {
      line << " of a thread whose number cannot be told";
    }
  }
}

void WriteBlock(ReportText& report, Modules& modules, const AddressInfo& info, const char* name, uint64_t p) {
  if (info.state == AddressInfo::State::kNoBlock) {
    report.Line() << "  " << name << ": " << Hex{p} << " lies behind the last block of its slab";
    WriteSlab(report, info);
    return;
  }
  const BlockHistory history = FindHistory(report, info.block);
  Format& line = report.Line();
  line << "  " << name << ": " << Hex{p} << " is ";
  if (p != info.block) line << "byte " << p - info.block << " of ";
  line << "the block " << Hex{info.block} << ", " << info.block_size << " bytes";
  const uint64_t asked = history.allocated.sequence != 0 ? history.allocated.value : info.asked_size;
  if (asked != 0) line << " (asked for: " << asked << ")";
  line << ", " << TextOf(info.state);
  if (info.place == AddressInfo::Place::kSlab) {
    report.Line() << "    class " << info.size_class << ", block " << info.block_index << " of its slab";
    WriteSlab(report, info);
  } else {
    report.Line() << "    a huge block, in pages of its own";
  }
  WriteHistory(report, modules, history);
}

struct HistorySearch {
  const ReportText* report;
  uint64_t block;
  size_t looked;
  BlockHistory found;
};

struct LastEvents {
  const ReportText* report;
  size_t looked;
  size_t count;
  Record records[kLastEvents];
};

// Keeps the newest, in order of time.
bool KeepNewest(const Record& record, void* context) {
  LastEvents& last = *static_cast<LastEvents*>(context);
  if ((++last.looked & 0xfff) == 0 && last.report->Late()) return false;
  if (last.count == kLastEvents && record.time_ns <= last.records[0].time_ns) return true;
  size_t at;
  if (last.count < kLastEvents) {
    at = last.count++;
  } else {
    memmove(last.records, last.records + 1, (kLastEvents - 1) * sizeof(Record));
    at = kLastEvents - 1;
  }
  for (; at > 0 && last.records[at - 1].time_ns > record.time_ns; --at) last.records[at] = last.records[at - 1];
  last.records[at] = record;
  return true;
}

void WriteEvent(ReportText& report, Modules& modules, const Record& record) {
  const ring::EventRow& row = ring::kEventRows[record.event];
  Format& line = report.Line();
  line << "    ";
  WriteAgo(line, report, record.time_ns);
  line << " ago  thread " << record.thread << "  " << row.text;
  if (record.pointer != 0) line << " " << Hex{record.pointer};
  if (static_cast<Event>(record.event) == Event::kRefill) {
    line << " from " << (record.value < ring::kSourceCount ? ring::kSourceNames[record.value] : "?");
  } else if (*row.value != 0) {
    line << ", " << row.value << " " << record.value;
  }
  if (record.slab != 0) line << ", class " << uint32_t{record.size_class} << ", slab " << Hex{record.slab};
  if (record.caller != 0) {
    line << ", in ";
    WriteCode(line, modules, record.caller, true);
  }
}

}  // namespace

void SetDescriber(Describer d) { describer = d; }

AddressInfo Describe(const void* p) {
  AddressInfo info;
  if (describer != nullptr) describer(p, &info);
  return info;
}

Modules& ReportModules() {
  // Made anew by nobody: all of its state is set by Load.
  return *reinterpret_cast<Modules*>(modules_storage);
}

BlockHistory FindHistory(const ReportText& report, uint64_t block) {
  HistorySearch search = {&report, block, 0, {}};
  ring::Visit({nullptr,
               [](const Record& record, void* context) {
                 HistorySearch& s = *static_cast<HistorySearch*>(context);
                 if ((++s.looked & 0xfff) == 0 && s.report->Late()) return false;
                 if (record.pointer != s.block) return true;
                 Record* last = IsAllocation(record)                                 ? &s.found.allocated
                                : record.event == static_cast<uint8_t>(Event::kFree) ? &s.found.freed
                                                                                     : nullptr;
                 if (last != nullptr && record.time_ns >= last->time_ns) *last = record;
                 return true;
               },
               &search});
  // What happened to an earlier block at this place is no matter: a block that was allocated after the last free that
  // is known is not freed yet.
  if (search.found.freed.time_ns < search.found.allocated.time_ns) search.found.freed = {};
  return search.found;
}

void WriteCode(Format& line, Modules& modules, uint64_t address, bool is_return) {
  const ModuleMapping* mapping = modules.Find(address);
  if (mapping == nullptr) {
    line << Hex{address};
    return;
  }
  const char* base = *mapping->path == 0 ? "?" : BaseName(mapping->path);
  uint64_t in_file;
  const ElfFile* file = modules.FileOf(*mapping);
  if (file == nullptr || !file->AddressOf(address - mapping->start + mapping->offset, &in_file)) {
    line << base << "+" << Hex{address - mapping->start + mapping->offset};
    return;
  }
  ElfFile::Symbol symbol;
  if (file->FindFunction(in_file - (is_return ? 1 : 0), &symbol)) {
    line << Clip{symbol.name, 160} << "+" << Hex{in_file - symbol.start} << " (" << base << "+" << Hex{in_file} << ")";
  } else {
    line << base << "+" << Hex{in_file};
  }
}

void WriteStack(ReportText& report, Modules& modules, const Registers& registers, CodePlace* place) {
  report.Line() << "  stack of thread " << static_cast<uint32_t>(os::ThreadId()) << " now, innermost first:";
  static uintptr_t frames[kMostFrames];
  const size_t count = Unwind(modules, registers, frames, kMostFrames);
  for (size_t i = 0; i < count && !report.Late(); ++i) {
    Format& line = report.Line();
    line << "    #" << static_cast<uint32_t>(i) << "  ";
    WriteCode(line, modules, frames[i], i != 0);
    const ModuleMapping* mapping = modules.Find(frames[i]);
    if (place->path != nullptr || mapping == nullptr || *mapping->path != '/') continue;
    if (IsSystemLibrary(BaseName(mapping->path))) continue;
    const ElfFile* file = modules.FileOf(*mapping);
    uint64_t address;
    if (file == nullptr || !file->AddressOf(frames[i] - mapping->start + mapping->offset, &address)) continue;
    if (i != 0) --address;  // in the call, not behind it
    ElfFile::Symbol symbol;
    if (file->FindFunction(address, &symbol) && IsAllocator(symbol.name)) continue;
    *place = {mapping->path, address};
  }
}

void WriteLastEvents(ReportText& report, Modules& modules) {
  if (!ring::On()) return;
  static LastEvents last;
  last.report = &report;
  last.looked = last.count = 0;
  ring::Visit({nullptr, KeepNewest, &last});
  report.Line() << "  last events of all threads:";
  for (size_t i = 0; i < last.count && !report.Late(); ++i) WriteEvent(report, modules, last.records[i]);
}

void WriteAddress(ReportText& report, Modules& modules, const char* name, uint64_t p) {
  const AddressInfo info = Describe(reinterpret_cast<const void*>(p));
  switch (info.place) {
    case AddressInfo::Place::kSlab:
    case AddressInfo::Place::kHuge: WriteBlock(report, modules, info, name, p); break;
    case AddressInfo::Place::kBookkeeping:
      report.Line() << "  " << name << ": " << Hex{p} << " is in hakmem's own bookkeeping, which no program may touch";
      break;
    case AddressInfo::Place::kUnused:
      report.Line() << "  " << name << ": " << Hex{p} << " is in hakmem's address space, where no block is now";
      // A huge block that was freed, perhaps.
      if (ring::On()) WriteHistory(report, modules, FindHistory(report, p));
      break;
    case AddressInfo::Place::kForeign: {
      Format& line = report.Line();
      line << "  " << name << ": " << Hex{p} << " is not memory of hakmem's";
      if (p < 65536) {
        line << ": next to address 0, a null pointer with an offset";
      } else if (const ModuleMapping* mapping = modules.Find(p); mapping != nullptr) {
        line << ": code of ";
        WriteCode(line, modules, p, false);
      }
      break;
    }
  }
}

}  // namespace hakmem
