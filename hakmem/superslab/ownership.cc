#include "hakmem/superslab/ownership.h"

#include <stdlib.h>

#include "hakmem/diag/report.h"
#include "hakmem/platform/os.h"
#include "hakmem/superslab/slab.h"

namespace hakmem::ownership {
namespace {

[[noreturn]] HAK_COLD void Fail(const Slab& slab, const Holder& holder, const char* what) {
  const HeapId owner = slab.owner();
  char line[320];
  Format f(line, sizeof(line));
  f << "hakmem: fatal: ownership: " << what << " of slab " << AsHex(slab.base()) << " (class " << slab.size_class()
    << ", blocks of " << static_cast<uint64_t>(slab.block_size()) << " bytes) by thread " << os::ThreadId()
    << " for heap " << holder.id;
  if (!holder.driver.IsThisThread()) f << ", which this thread does not drive";
  if (owner == kNoHeap) {
    f << "; the slab's owner is nobody";
  } else if (owner == kRetired) {
    f << "; the slab is not in use";
  } else {
    f << "; the slab's owner is heap " << owner;
  }
  ReportLine(line);
  abort();
}

}  // namespace

void Check(const Slab& slab, const Holder& holder, const char* what) {
  if (HAK_UNLIKELY(slab.owner() != holder.id || !holder.driver.IsThisThread())) Fail(slab, holder, what);
}

void CheckClaimant(const Slab& slab, const Holder& claimant) {
  if (HAK_UNLIKELY(!claimant.driver.IsThisThread())) Fail(slab, claimant, "claim");
}

}  // namespace hakmem::ownership
