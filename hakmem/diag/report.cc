#include "hakmem/diag/report.h"

#include <stdlib.h>

#include <atomic>

#include "hakmem/config/options.h"
#include "hakmem/diag/next_steps.h"
#include "hakmem/diag/report_parts.h"
#include "hakmem/diag/ring.h"
#include "hakmem/platform/build.h"
#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

// A program that goes on gets so many reports in full, later ones in their first line.
constexpr uint32_t kMostInFull = 16;

constinit std::atomic<uint32_t> reports{0};
constinit std::atomic<uint32_t> reported_thread{0};

const char* Describe(Fault fault) {
  switch (fault) {
    case Fault::kForeignPointer: return "pointer that hakmem did not hand out";
    case Fault::kInteriorPointer: return "pointer that is not the start of a block";
    case Fault::kDoubleFree: return "block that is free already (double free)";
    case Fault::kWrongSize: return "block whose size is not the one given";
    case Fault::kWrittenPastEnd: return "block that was written past its end";
    case Fault::kWrittenAfterFree: return "block that was written to after it was freed";
    case Fault::kCorruption: return "block whose bookkeeping is damaged (written after free?)";
  }
  return "?";
}

// The same for who never heard of it.
const char* Explain(Fault fault) {
  switch (fault) {
    case Fault::kForeignPointer:
      return "The program gave back memory that did not come from malloc or new: a variable, a mapping of its own, or "
             "a "
             "pointer that was overwritten.";
    case Fault::kInteriorPointer:
      return "The program gave back an address inside a block instead of the one that malloc or new returned: a "
             "pointer "
             "that was moved on, or one that was overwritten.";
    case Fault::kDoubleFree:
      return "The program gave this block back before. One of the two frees is wrong; if the block was used in "
             "between, "
             "the first one is.";
    case Fault::kWrongSize:
      return "The program gave back a block as one of another size or alignment than it was asked for: a delete "
             "through a "
             "pointer to another type, or new[] with delete.";
    case Fault::kWrittenPastEnd:
      return "The program wrote behind the bytes that it had asked for. It was noticed now; the write came earlier.";
    case Fault::kWrittenAfterFree:
      return "The program wrote into this block after it gave it back. It was noticed now; the write came earlier.";
    case Fault::kCorruption:
      return "The program wrote into a block after it was freed, or past the end of one before it.";
  }
  return "?";
}

bool GoesOn(Fault fault) {
  switch (g_options.error_action()) {
    case OnError::kAbort: return false;
    case OnError::kContinue: return true;
    case OnError::kDefault: break;
  }
  return kReleaseBuild && fault == Fault::kForeignPointer;
}

void WriteFirstLine(Format& line, Fault fault, const char* where, const void* ptr, const char* detail) {
  line << where << "(" << AsHex(ptr) << "): " << Describe(fault);
  if (*detail != 0) line << "; " << detail;
}

void WriteInFull(ReportText& report, Fault fault, const char* where, const void* ptr, const char* detail,
                 const Registers& registers) {
  WriteFirstLine(report.Line(), fault, where, ptr, detail);
  report.Line() << "  " << Explain(fault);
  Modules& modules = ReportModules();
  modules.Load();
  const uint64_t address = reinterpret_cast<uintptr_t>(ptr);
  WriteAddress(report, modules, "pointer", address);
  CodePlace place;
  WriteStack(report, modules, registers, &place);
  WriteNextSteps(report, fault, address, place);
  modules.Close();
}

[[noreturn]] void Abort() {
  reported_thread.store(static_cast<uint32_t>(os::ThreadId()), std::memory_order_relaxed);  // for this thread's handler
  if (ring::On()) ring::DumpToFile();
  abort();
}

}  // namespace

HAK_NOINLINE void ReportFault(Fault fault, const char* where, const void* ptr, const char* detail) {
  const Registers registers = CaptureRegisters();
  ring::Note(ring::Event::kFault, ptr);
  const bool in_full = reports.fetch_add(1, std::memory_order_relaxed) < kMostInFull;  // a count, orders nothing
  const bool goes_on = GoesOn(fault);
  ReportText* report = in_full || !goes_on ? ReportText::Begin() : nullptr;
  if (report != nullptr) {
    WriteInFull(*report, fault, where, ptr, detail, registers);
    report->End();
  } else {
    char text[400];
    Format line(text, sizeof(text));
    line << "hakmem: ";
    WriteFirstLine(line, fault, where, ptr, detail);
    ReportLine(line.text());
  }
  if (!goes_on) Abort();
}

HAK_NOINLINE void Die(const char* what, const char* file, int line_number) {
  const Registers registers = CaptureRegisters();
  if (ReportText* report = ReportText::Begin(); report != nullptr) {
    report->Line() << "fatal: " << what << " (" << file << ":" << line_number << ")";
    report->Line()
        << "  hakmem found its own bookkeeping wrong: the program wrote to where it may not, or hakmem has a "
           "fault.";
    Modules& modules = ReportModules();
    modules.Load();
    CodePlace place;
    WriteStack(*report, modules, registers, &place);
    WriteNextSteps(*report, Fault::kCorruption, 0, place);
    modules.Close();
    report->End();
  }
  Abort();
}

bool HasReported() {
  return reported_thread.load(std::memory_order_relaxed) == static_cast<uint32_t>(os::ThreadId());  // own store is seen
}

}  // namespace hakmem
