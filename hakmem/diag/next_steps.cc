#include "hakmem/diag/next_steps.h"

#include "hakmem/platform/build.h"

namespace hakmem {

void WriteNextSteps(ReportText& report, Fault fault, uint64_t address, const CodePlace& place) {
  WriteWhereToLook(report, address, place);
  if (!kGuardBuild && (fault == Fault::kCorruption || fault == Fault::kDoubleFree)) {
    report.Line() << "  next: a guard build (bazel build --config=guard) stops at the write or free that is wrong";
  }
}

void WriteWhereToLook(ReportText& report, uint64_t address, const CodePlace& place) {
  if (place.path != nullptr) {
    report.Line() << "  next: addr2line -Cfie " << Clip{place.path, 512} << " " << Hex{place.address}
                  << " names the line of the program's code";
  }
  if (!ring::On()) {
    report.Line() << "  next: HAKMEM_RING=65536 HAKMEM_CRASH_HANDLER=1 tells who allocated and who freed the block";
    return;
  }
  char name[512];
  ring::DumpFileName(name, sizeof(name));
  Format& line = report.Line();
  line << "  next: bazelw run //testing:flight -- ";
  if (Describe(reinterpret_cast<const void*>(address)).block != 0) {
    line << "--pointer=" << Hex{address} << " " << name << " prints the block's life";
  } else {
    line << name << " prints what hakmem did before";
  }
}

}  // namespace hakmem
