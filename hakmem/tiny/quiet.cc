#include "hakmem/tiny/quiet.h"

#include <optional>
#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/platform/os.h"
#include "hakmem/tiny/heap_slabs.h"

namespace hakmem::tiny {
namespace {

// In smaller processes there is little to win.
constexpr uint64_t kLeastSuperslabs = 16;
// Of so many slabs at once, which takes less than a millisecond.
constexpr unsigned kMostAtOnce = 32;

// Whether much of the slab is free: in others few pages are without a block.
bool IsMostlyFree(const OwnedSlab& owned) {
  const Slab& slab = owned.slab();
  return owned.used() * slab.block_size() <= slab.span() * kSlabSize / 2;
}

}  // namespace

void GiveBackQuiet(Heap& heap) {
  if (pool::Superslabs() < kLeastSuperslabs || g_options.purge_delay_ms == 0) return;
  const uint64_t now = os::NowMs();
  const bool is_time = now >= heap.rest->quiet_looked_ms + g_options.purge_delay_ms;
  if (!is_time && !heap.rest->quiet_left) return;
  if (is_time) heap.rest->quiet_looked_ms = now;
  heap.rest->quiet_left = false;
  // A program that uses such pages again soon pays with page faults.
  if (g_idle.IsInDebt(now)) return;
  unsigned left = kMostAtOnce;
  heap.used.ForEach([&](unsigned c) {
    for (Slab *slab = heap.bench(c), *next; slab != nullptr; slab = next) {
      next = slab->next;
      std::optional<OwnedSlab> owned = OwnedSlab::Claim(*slab, heap.who);
      if (!owned) continue;
      if (!owned->IsQuiet()) {
        if (is_time) owned->Age();
      } else if (left == 0) {
        heap.rest->quiet_left = true;
        return;
      } else if (IsMostlyFree(*owned)) {
        --left;
        (void)owned->PurgeFreePages();
        Settle(heap, std::move(*owned));
      }
    }
  });
}

}  // namespace hakmem::tiny
