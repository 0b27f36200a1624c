#include "hakmem/tiny/give_back.h"

#include <optional>
#include <utility>

#include "hakmem/diag/check.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/lists.h"
#include "hakmem/tiny/outbox.h"

namespace hakmem::tiny {
namespace {

// Whether few of the slab's blocks are out.
constexpr unsigned kFewShift = 4;
bool IsNearlyHome(const OwnedSlab& owned) { return owned.used() <= owned.slab().geometry().capacity >> kFewShift; }

// Puts a run of blocks of one slab back. Whether few others of the slab are out then.
bool GiveBackRun(Heap& heap, Slab& slab, const Chain& chain) {
  if (HAK_UNLIKELY(slab.owner() != heap.who.id)) {
    // Released since the blocks were freed: as good as freed by a stranger.
    Block* block = chain.first;
    for (uint32_t i = 0; i < chain.count; ++i) {
      Block* next = NextOf(block);
      AddToOutbox(heap, slab, block);
      block = next;
    }
    return false;
  }
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap.who);
  HAK_ASSERT(owned.has_value());
  heap.counters.flushed.Add(chain.count);
  owned->Push(chain);
  const unsigned c = slab.size_class();
  if (c <= kMaxListedClass) heap.SetHot(c, &slab);
  const bool nearly_home = IsNearlyHome(*owned);
  // Most runs come to a slab that had free blocks before and has others out: it stays where it is.
  if (slab.place != Slab::Place::kBench || (nearly_home && owned->IsHome())) Settle(heap, std::move(*owned));
  return nearly_home;
}

// Puts a list of blocks back, of about `kRuns` slabs at a time.
template <size_t kRuns>
Returned GiveBackAtOnce(Heap& heap, Block* first) {
  // Blocks of a list lie in many slabs, in the order of their frees: gathered by slab, most slabs are claimed and
  // settled once.
  struct Run {
    const char* base;
    const SizeClass* row;
    Slab* slab;
    // A chain, without its constructor.
    Block* first;
    Block* last;
    uint32_t count;
  };
  uintptr_t pieces[kRuns];  // of the runs
  Run runs[kRuns];
  uint64_t used = 0;  // a bit for each run; what is not used is not set up
  uintptr_t refused = 0;
  Returned returned;
  const auto give_back = [&heap, &returned](const Run& run) {
    if (run.count == 0) return;
    ++returned.runs;
    if (GiveBackRun(heap, *run.slab, {run.first, run.last, run.count})) ++returned.nearly_home;
  };
  while (first != nullptr) {
    const uintptr_t piece = reinterpret_cast<uintptr_t>(first) >> kSlabShift;
    const size_t at = piece % kRuns;
    const bool in_use = ((used >> at) & 1) != 0;
    Run& run = runs[at];
    if (!in_use || pieces[at] != piece) {
      if (in_use) give_back(run);
      Slab* slab = address_map::SlabOf(first);
      if (HAK_UNLIKELY(slab == nullptr)) {
        // Somebody else has freed it as well, and the slab came to its end. What its link leads to is anybody's guess.
        ReportFault(Fault::kDoubleFree, "free", first, "its slab is not in use any more");
        used &= ~(uint64_t{1} << at);
        break;
      }
      pieces[at] = piece;
      used |= uint64_t{1} << at;
      run = {slab->base(), &slab->geometry(), slab, nullptr, nullptr, 0};
    }
    const auto is_block = [&run](const Block* block) {
      return run.row->IsBlockAt(static_cast<size_t>(reinterpret_cast<const char*>(block) - run.base));
    };
    if (HAK_UNLIKELY(!is_block(first))) {
      ReportFault(Fault::kInteriorPointer, "free", first, "found when its list went back to the slab");
      // No list has more of them, unless they are a ring.
      if (++refused > kMaxListLength) break;
      first = NextOf(first);
      continue;
    }
    // The blocks of the slab that follow come along. In a ring, which nobody looked for, not more than there are.
    Block* last = first;
    uint32_t count = 1;
    Block* next = NextOf(last);
    while (reinterpret_cast<uintptr_t>(next) >> kSlabShift == piece && count < run.row->capacity &&
           HAK_LIKELY(is_block(next))) {
      last = next;
      next = NextOf(last);
      ++count;
    }
    if (HAK_UNLIKELY(last == run.last)) {
      // Back at where the run ends, as its last block links to nothing: at the end of a ring, freed twice.
      ReportFault(Fault::kDoubleFree, "free", last, "found when its list went back to the slab");
      run.count = 1;
      for (const Block* block = run.first; block != run.last; block = NextOf(block)) ++run.count;
      first = next;
      continue;
    }
    if (run.count == 0) run.last = last;
    SetNext(last, run.first);
    run.first = first;
    run.count += count;
    first = next;
  }
  for (; used != 0; used &= used - 1) give_back(runs[__builtin_ctzll(used)]);
  return returned;
}

}  // namespace

void OpenRing(Block* first) {
  Block* mark = first;
  size_t length = 1;
  size_t limit = 1;
  Block* block = NextOf(first);
  for (; block != nullptr && block != mark; block = NextOf(block), ++length) {
    if (HAK_UNLIKELY(length == limit)) {
      mark = block;
      limit *= 2;
      length = 0;
    }
  }
  if (HAK_LIKELY(block == nullptr)) return;
  // Two that are a ring's length apart meet where the ring begins: at the block that was freed twice.
  Block* behind = first;
  Block* ahead = first;
  for (size_t i = 0; i < length; ++i) ahead = NextOf(ahead);
  for (; behind != ahead; ahead = NextOf(ahead)) behind = NextOf(behind);
  Block* last = behind;
  for (size_t i = 1; i < length; ++i) last = NextOf(last);
  SetNext(last, nullptr);
  ReportFault(Fault::kDoubleFree, "free", behind, "found when its list went back to the slab");
}

Returned GiveBack(Heap& heap, Block* first) { return GiveBackAtOnce<64>(heap, first); }

void PushFreed(Heap& heap, OwnedSlab& owned, Block* block) {
  if (HAK_UNLIKELY(owned.first_free() == block)) {
    ReportFault(Fault::kDoubleFree, "free", block, "it was freed last");
    return;
  }
  Chain chain;
  chain.PushFront(block);
  owned.Push(chain);
  heap.counters.flushed.Add(1);
}

void GiveBackTo(Heap& heap, Slab& slab, Block* block) {
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap.who);
  HAK_CHECK(owned.has_value());
  PushFreed(heap, *owned, block);
  Settle(heap, std::move(*owned));
}

namespace {

void GiveBackListsOf(Heap& heap, unsigned c) {
  const auto give_back = [&heap](Block* first) {
    OpenRing(first);
    // At the end of a thread what its stack has touched stays resident (glibc keeps stacks): a small frame.
    (void)GiveBackAtOnce<16>(heap, first);
  };
  for (unsigned list = c; list != 0 && ClassOfList(list) == c; --list) {
    if (Block* first = heap.alloc(list); first != nullptr) {
      heap.alloc(list) = nullptr;
      give_back(first);
    }
  }
  FreeList& list = heap.free(c);
  if (Block* first = list.head; first != nullptr) {
    ResetFreed(heap, list, c);
    give_back(first);
  }
  while (Block* batch = TakeBatch(heap, c)) give_back(batch);
}

}  // namespace

void GiveBackLists(Heap& heap) {
  heap.used.ForEach([&](unsigned c) {
    if (c <= kMaxListedClass) GiveBackListsOf(heap, c);
  });
}

void GiveBackCold(Heap& heap) {
  unsigned c = heap.cold_at;
  for (unsigned left = kMaxListedClass; left != 0; --left) {
    c = c < kMaxListedClass ? c + 1 : 1;
    if (heap.used.Has(c)) break;
  }
  heap.cold_at = static_cast<uint8_t>(c);
  if ((heap.activity[c] & Heap::kRecent) != 0) {
    heap.activity[c] &= static_cast<uint8_t>(~Heap::kRecent);
  } else {
    GiveBackListsOf(heap, c);
  }
}

}  // namespace hakmem::tiny
