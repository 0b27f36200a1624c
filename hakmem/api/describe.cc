#include "hakmem/api/describe.h"

#include "hakmem/guard/guard.h"
#include "hakmem/large/huge.h"
#include "hakmem/mmap_gate/window.h"
#include "hakmem/platform/os.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/live_blocks.h"

namespace hakmem {
namespace {

using Place = AddressInfo::Place;
using State = AddressInfo::State;

// The walks below follow links that the program may have written over: each is looked at before it is followed, and
// their number is bounded.
constexpr uint32_t kMostSteps = 4096;

Block* ReadNext(const Block* block) {
  Block* next = nullptr;
  static_cast<void>(os::ReadMemory(reinterpret_cast<uintptr_t>(block), &next, sizeof(next)));
  return next;
}

// Whether `block` is among the first `most` of a list whose blocks are of the slab's class.
bool IsIn(const Block* first, uint32_t most, const Block* block, unsigned size_class) {
  for (uint32_t i = 0; first != nullptr && i < most && i < kMostSteps; ++i) {
    if (first == block) return true;
    const Slab* slab = address_map::SlabOf(first);
    if (slab == nullptr || slab->size_class() != size_class || !slab->IsBlockStart(first)) return false;
    first = ReadNext(first);
  }
  return false;
}

HAK_NO_TSAN bool IsInListsOf(Heap& heap, const Block* block, unsigned c) {
  if (c > kMaxListedClass) return false;
  for (unsigned list = c; list != 0 && ClassOfList(list) == c; --list) {
    if (IsIn(heap.alloc(list), kMostSteps, block, c)) return true;
  }
  if (IsIn(heap.free(c).head, kMostSteps, block, c)) return true;
  const Block* batch = heap.rest->batches[c];
  for (uint32_t i = 0; batch != nullptr && i < heap.rest->batch_count[c]; ++i) {
    if (IsIn(batch, kMostSteps, block, c)) return true;
    const Block* next = nullptr;
    // The second word of a batch's first block.
    if (!os::ReadMemory(reinterpret_cast<uintptr_t>(batch) + sizeof(Block*), &next, sizeof(next))) return false;
    if (next != nullptr && address_map::SlabOf(next) == nullptr) return false;
    batch = next;
  }
  return false;
}

HAK_NO_TSAN bool IsInOutboxOf(const Heap& heap, const Slab& slab, const Block* block) {
  const HeapRest& rest = *heap.rest;
  for (uint32_t i = 1; i <= rest.outbox_used && i <= HeapRest::kOutboxEntries; ++i) {
    const OutboxEntry& entry = rest.outbox[i];
    if (entry.slab == &slab && IsIn(entry.chain.first, entry.chain.count, block, slab.size_class())) return true;
  }
  return false;
}

Heap* OwnHeap() {
  Heap* heap = DrivenHeap();
  return heap == NotStartedHeap() || heap == FinishedHeap() ? nullptr : heap;
}

bool IsPurged(const Slab& slab, const Block* block) {
  const size_t page = static_cast<size_t>(reinterpret_cast<const char*>(block) - slab.base()) >> kPageShift;
  return ((slab.superslab().purged_pages[slab.index() + page / kPagesPerSlab] >> (page % kPagesPerSlab)) & 1) != 0;
}

State StateOf(const Slab& slab, const Block* block, uint32_t index) {
  if (tiny::KeepsLiveBits()) return tiny::IsLive(slab, block) ? State::kLive : State::kFree;
  const Slab::Look look = slab.LookFromOutside();
  if (index >= look.carved) return State::kNeverUsed;
  const unsigned c = slab.size_class();
  const RemoteState remote = slab.PeekRemote();
  if (IsPurged(slab, block) || IsIn(look.free, look.free_count, block, c)) return State::kFree;
  if (remote.count != 0 &&
      IsIn(reinterpret_cast<const Block*>(slab.base() + size_t{remote.head} * kMinBlock), remote.count, block, c)) {
    return State::kFree;
  }
  if (Heap* own = OwnHeap(); own != nullptr) {
    if (IsInListsOf(*own, block, c) || IsInOutboxOf(*own, slab, block)) return State::kFree;
    if (own->who.id == remote.owner) return State::kLive;
  }
  if (remote.owner != kNoHeap && remote.owner != kRetired) {
    if (IsInListsOf(*heap_pool::ById(remote.owner), block, c)) return State::kFree;
  }
  return State::kLive;
}

void DescribeSlab(const Slab& slab, const void* p, AddressInfo* info) {
  const size_t size = slab.block_size();
  const RemoteState remote = slab.PeekRemote();
  info->place = size == 0 ? Place::kUnused : Place::kSlab;
  if (size == 0) return;
  info->superslab = reinterpret_cast<uintptr_t>(slab.superslab().base());
  info->slab = reinterpret_cast<uintptr_t>(slab.base());
  info->slab_size = slab.span() * kSlabSize;
  info->size_class = slab.size_class();
  info->slab_in_use = remote.owner != kRetired;
  if (info->slab_in_use && remote.owner != kNoHeap) {
    info->owner = remote.owner;
    const Heap* const heap = heap_pool::ById(remote.owner);
    const uintptr_t driver = heap->driven_by.load(std::memory_order_relaxed);  // for printing
    info->owner_driven = driver != 0;
    info->owner_thread = static_cast<uint32_t>(os::ThreadIdOf(driver));
  }
  const uint64_t index = (reinterpret_cast<uintptr_t>(p) - info->slab) / size;
  if (index >= slab.geometry().capacity) {
    info->state = State::kNoBlock;
    return;
  }
  info->block = info->slab + index * size;
  info->block_size = size;
  info->block_index = static_cast<uint32_t>(index);
  if constexpr (kGuardBuild) {
    info->asked_size = guard::AskedSize(slab.superslab(), reinterpret_cast<const void*>(info->block));
  }
  info->state =
      info->slab_in_use ? StateOf(slab, reinterpret_cast<const Block*>(info->block), info->block_index) : State::kFree;
}

}  // namespace

void DescribeAddress(const void* p, AddressInfo* info) {
  Region* region = address_map::RegionOf(p);
  // Relaxed: RegionOf orders.
  const Region::Kind kind = region == nullptr ? Region::Kind::kNone : region->kind.load(std::memory_order_relaxed);
  switch (kind) {
    case Region::Kind::kSuperslab: DescribeSlab(static_cast<Superslab*>(region)->SlabAt(p), p, info); return;
    case Region::Kind::kHuge: {
      const uint64_t offset = static_cast<uint64_t>(static_cast<const char*>(p) - region->base());
      const size_t size = huge::UsableSize(region);
      info->place = Place::kHuge;
      info->block = reinterpret_cast<uintptr_t>(region->base());
      info->block_size = size;
      if constexpr (kGuardBuild) info->asked_size = guard::AskedSize(*region, region->base());
      info->state = State::kLive;
      if (offset >= size) info->place = Place::kUnused;
      return;
    }
    case Region::Kind::kNone: break;
  }
  if (!HasWindow() || !InWindow(p)) return;
  info->place = WindowOffset(p) < kFrontSize ? Place::kBookkeeping : Place::kUnused;
}

}  // namespace hakmem
