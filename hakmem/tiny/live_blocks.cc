#include "hakmem/tiny/live_blocks.h"

#include "hakmem/diag/check.h"
#include "hakmem/platform/poison.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::tiny {
namespace {

struct Bit {
  std::atomic<uint64_t>* word;
  uint64_t mask;
};

Bit BitOf(const Slab& slab, const void* p) {
  const Superslab& superslab = slab.superslab();
  const size_t unit = static_cast<size_t>(static_cast<const char*>(p) - superslab.base()) / kMinBlock;
  return {&superslab.live_bits[unit / 64], uint64_t{1} << (unit % 64)};
}

}  // namespace

void MarkLive(const void* p) {
  const Slab* slab = address_map::SlabOf(p);
  if (slab == nullptr) return;  // a huge block
  HAK_CHECK(slab->IsBlockStart(p));
  Unpoison(p, slab->block_size());
  const Bit bit = BitOf(*slab, p);
  const uint64_t before = bit.word->fetch_or(bit.mask, std::memory_order_relaxed);  // the bit alone; orders nothing
  if ((before & bit.mask) != 0) {
    ReportFault(Fault::kCorruption, "malloc", p, "the block is in use already");
    HAK_CHECK(false);
  }
}

bool MarkFreed(const char* where, const void* p) {
  const Slab* slab = address_map::SlabOf(p);
  if (slab == nullptr) {
    const Region* region = address_map::RegionOf(p);
    const auto kind = region == nullptr ? Region::Kind::kNone
                                        : region->kind.load(std::memory_order_relaxed);  // RegionOf has ordered it
    if (kind != Region::Kind::kSuperslab) {
      return true;  // huge or foreign: told apart later on
    }
    // Here already, so that nobody writes this free down as the one that gave the block back.
    ReportFault(Fault::kDoubleFree, where, p, "its slab is not in use any more");
    return false;
  }
  if (!slab->IsBlockStart(p)) {
    const size_t offset = static_cast<size_t>(static_cast<const char*>(p) - slab->base());
    const size_t inside = offset % slab->block_size();
    char detail[120];
    Format f(detail, sizeof(detail));
    f << static_cast<uint64_t>(inside) << " bytes inside of block " << AsHex(static_cast<const char*>(p) - inside)
      << ", which has " << static_cast<uint64_t>(slab->block_size());
    ReportFault(Fault::kInteriorPointer, where, p, detail);
    return false;
  }
  const Bit bit = BitOf(*slab, p);
  const uint64_t before = bit.word->fetch_and(~bit.mask, std::memory_order_relaxed);  // the bit alone; orders nothing
  if ((before & bit.mask) != 0) {
    Poison(p, slab->block_size());
    return true;
  }
  ReportFault(Fault::kDoubleFree, where, p, "");
  return false;
}

bool IsLive(const Slab& slab, const void* p) {
  const Bit bit = BitOf(slab, p);
  return (bit.word->load(std::memory_order_relaxed) & bit.mask) != 0;  // the bit alone; orders nothing
}

bool CheckLive(const char* where, const Slab& slab, const void* p) {
  if (IsLive(slab, p)) return true;
  ReportFault(Fault::kDoubleFree, where, p, "");
  return false;
}

}  // namespace hakmem::tiny
