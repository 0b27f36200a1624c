#include "hakmem/tiny/refill.h"

#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/page_arena/fill_record.h"
#include "hakmem/platform/os.h"
#include "hakmem/superslab/slab_event.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/lists.h"
#include "hakmem/tiny/outbox.h"
#include "hakmem/tiny/seeded_faults.h"

namespace hakmem::tiny {

using ring::Event;
using ring::Source;

namespace {

// Balance looks at the clock; once in so many refills is enough.
constexpr uint32_t kRefillsPerBalance = 64;

// Blocks that were never handed out, for the list of a class. Many heaps have few blocks of a class, and each that is
// prepared in vain has to go home when the thread ends: a few at first, then as many as before, up to a page; two pages
// where the class has grown and several blocks share a page.
constexpr uint32_t kFirstCarved = 2;
Chain CarveForList(Heap& heap, OwnedSlab& owned, bool* clean) {
  const unsigned c = owned.slab().size_class();
  if (heap.grown.Has(c)) return owned.Carve(UINT32_MAX, clean, c <= kSteppedClasses ? 2 : 1);
  const uint32_t before = owned.carved();
  return owned.Carve(before < kFirstCarved ? kFirstCarved : before, clean, 1);
}

// Deals a chain of neighbouring blocks, of which the first is taken, to those lists of the class that are
// empty, where the program uses more than one of them: they would else have to lend each other blocks.
void ShareOut(Heap& heap, const Chain& chain, unsigned c) {
  if (!heap.lent.Has(c)) return;
  const unsigned lists = ListsOf(c);
  if (chain.count <= lists) return;  // none for some of them
  const size_t size = kSizeClasses[c].block_size;
  const auto block_at = [&](uint32_t i) {
    return reinterpret_cast<Block*>(reinterpret_cast<char*>(chain.first) + i * size);
  };
  // Blocks of a page that was given back come in another order.
  if (chain.last != block_at(chain.count - 1)) return;
  unsigned empty[4] = {c};
  unsigned n = 1;
  for (unsigned list = c - 1; list > c - lists; --list) {
    if (heap.alloc(list) == nullptr) empty[n++] = list;
  }
  if (n == 1) return;
  for (uint32_t i = 1; i < chain.count; ++i) {
    SetNext(block_at(i), i + n < chain.count ? block_at(i + n) : nullptr);
  }
  for (unsigned k = 0; k < n; ++k) heap.alloc(empty[k]) = block_at(1 + k);
}

// Blocks of a slab that is bound and has some: the heap's list takes them whole, or one goes straight to the program.
Block* TakeBlocks(Heap& heap, OwnedSlab& owned, unsigned size_class, bool* clean) {
  if (!HasList(size_class)) {
    heap.counters.blocks.Add(1);
    if (owned.HasFree()) return owned.PopOne();
    return owned.Carve(1, clean).first;
  }
  const bool freed = owned.HasFree();
  const Chain chain = freed ? owned.Pop() : CarveForList(heap, owned, clean);
  if (freed) GrowExtra(heap, chain.count * kSizeClasses[size_class].block_size);
  heap.pinned.Remove(size_class);
  heap.counters.refills.Add(1);
  heap.counters.blocks.Add(chain.count);
  heap.alloc(size_class) = NextOf(chain.first);
  if (!freed) ShareOut(heap, chain, size_class);
  return chain.first;
}

// Visits. Of many threads most have few blocks of a class: were each to keep a slab for them, every block would cost a
// page. So the first times, three or seven, blocks come out of a slab that stays nobody's: the next thread finds it in
// the mailbox. Blocks of two threads would then lie side by side, and what a thread allocates at its start it often
// writes for as long as it lives: a visit takes as many blocks as fill whole cache lines, of memory that was never
// handed out.
constexpr size_t kCacheLine = 64;
constexpr uint32_t BlocksOfWholeLines(size_t block_size) {
  return block_size % kCacheLine == 0 ? 1 : block_size % (kCacheLine / 2) == 0 ? 2 : 4;
}
static_assert(kMinBlock * 4 == kCacheLine);

bool HasVisits(const Heap& heap, unsigned c) {
  for (const ClassSet& digit : heap.to_visit) {
    if (digit.Has(c)) return true;
  }
  return false;
}

// One visit less.
void CountVisit(Heap& heap, unsigned c) {
  for (ClassSet& digit : heap.to_visit) {
    if (digit.Has(c)) {
      digit.Remove(c);
      return;
    }
    digit.Add(c);
  }
}

// Whether the heap takes what it needs out of a slab that it has just claimed, and gives the slab up again.
bool IsVisit(const Heap& heap, const OwnedSlab& owned) {
  const unsigned c = owned.slab().size_class();
  return HasVisits(heap, c) && HasList(c) && g_options.tiny_ss_adopt != 0 &&
         (owned.HasUncarved() || (owned.HasFree() && BlocksOfWholeLines(kSizeClasses[c].block_size) == 1));
}

Block* Visit(Heap& heap, OwnedSlab owned, bool* clean) {
  const unsigned c = owned.slab().size_class();
  CountVisit(heap, c);
  const uint32_t at_once = BlocksOfWholeLines(kSizeClasses[c].block_size);
  Block* block;
  if (at_once == 1 && owned.HasFree()) {
    block = owned.PopOne();
    heap.counters.blocks.Add(1);
  } else {
    // Two pages: they may lie across a border.
    const Chain chain = owned.Carve(at_once - owned.carved() % at_once, clean, 2);
    block = chain.first;
    heap.used.Add(c);
    heap.alloc(c) = NextOf(block);
    heap.counters.blocks.Add(chain.count);
  }
  heap.counters.refills.Add(1);
  ReleaseOrPlace(heap, std::move(owned));
  return block;
}

// The one function: claim, drain, bind and take; or give up again.
Block* TryCandidate(Heap& heap, Slab& slab, unsigned size_class, Source source, bool* clean) {
  const bool was_ours = slab.owner() == heap.who.id;
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap.who);
  if (!owned) {
    heap.counters.claims_refused.Add(1);
    return nullptr;
  }
  if (slab.size_class() == size_class) {
    if (!owned->HasFree() && owned->HasRemote()) {
      heap.counters.drains.Add(1);
      heap.counters.drained.Add(owned->Drain());
    }
    if (owned->HasFree() || owned->HasUncarved()) {
      if (!was_ours) {
        heap.counters.adopted.Add(1);
        ring::Note(Event::kAdopt, slab);
      }
      ring::Note(Event::kRefill, slab, nullptr, static_cast<uint64_t>(source));
      if ((!was_ours || source == Source::kPool) && IsVisit(heap, *owned)) return Visit(heap, std::move(*owned), clean);
      Bind(heap, *owned);
      return TakeBlocks(heap, *owned, size_class, clean);
    }
  }
  if (!was_ours) {
    ReleaseOrPlace(heap, std::move(*owned));
  } else if (IsForAnybody(*owned)) {
    GiveUp(heap, std::move(*owned));
  } else {
    if (slab.place == Slab::Place::kBound) RememberSticky(heap, &slab);
    Place(heap, *owned);
  }
  return nullptr;
}

// Whether the heap's own `slab` holds blocks that were freed.
bool HoldsFreed(const Heap& heap, Slab& slab) {
  const std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap.who);
  return owned && (owned->HasFree() || owned->HasRemote());
}

// Blocks that begin in each second page at the most: where the program touches only parts of these, a huge page costs
// it more than twice what it touches.
bool MayBeSparse(size_t block_size) { return block_size >= 2 * os::PageSize(); }

// Whether the class's next slab will probably be used from end to end: a class that wants a third slab is growing. Of a
// program's only thread the second one will do: where there are others as well, each has such a slab. Blocks above
// those of lists are few to a slab. Long blocks have to be such as the program fills.
bool WillBeFull(Heap& heap, unsigned c, bool had_slab) {
  if (c <= kMaxListedClass) {
    if (!had_slab) return false;
    const bool grown = heap.grown.Has(c);
    heap.grown.Add(c);
    if (!grown && heap_pool::DrivenHeaps() != 1) return false;
  }
  const SizeClass& row = kSizeClasses[c];
  return !MayBeSparse(row.block_size) ||
         arena::g_fill.Ask(row.block_size, row.span * kSlabSize).advice == arena::FillRecord::Advice::kFilled;
}

// A slab outside of huge pages tells whether the program fills its blocks: by the first, which is used at once.
void WatchSlab(const OwnedSlab& owned) {
  const size_t size = owned.slab().block_size();
  if (g_options.huge_pages != 1 || !MayBeSparse(size) || !owned.IsClean()) return;
  arena::g_fill.Watch(size, owned.slab().base(), size & ~(os::PageSize() - 1));
}

// Whether the heap has memory of the class that was never handed out.
bool HasOwnUncarved(const Heap& heap, Slab* bound, unsigned c) {
  if (heap.rest->uncarved[c] != nullptr) return true;
  if (bound == nullptr) return false;
  const std::optional<OwnedSlab> owned = OwnedSlab::Claim(*bound, heap.who);
  return owned && owned->HasUncarved();
}

// Blocks that were freed come first, wherever they are: they are in the cache, or at least resident. Memory that was
// never handed out comes last, the heap's own before others': whoever took a slab for it each time would have many that
// are hardly used.
Block* FromSources(Heap& heap, unsigned c, bool* clean) {
  const bool had_slab = heap.bound(c) != nullptr;
  if (Slab* slab = heap.bound(c); slab != nullptr && HoldsFreed(heap, *slab)) {
    if (Block* block = TryCandidate(heap, *slab, c, Source::kBound, clean)) return block;
  }
  // What the inbox brings goes to the front of the bench.
  if (!heap.inbox.LooksEmpty()) {
    ReadInbox(heap);
    if (Slab* slab = heap.bench(c); slab != nullptr) {
      if (Block* block = TryCandidate(heap, *slab, c, Source::kInbox, clean)) return block;
    }
  }
  for (Slab*& entry : heap.rest->sticky) {
    Slab* slab = entry;
    if (slab == nullptr || slab->size_class() != c) continue;  // a look
    if constexpr (kHasSeam) SeededFaults::At(SeededFaults::kSticky, heap, c, slab);
    const RemoteState state = slab->PeekRemote();
    if (state.count == 0 || (state.owner != heap.who.id && state.owner != kNoHeap)) continue;  // a look
    entry = nullptr;
    if (Block* block = TryCandidate(heap, *slab, c, Source::kSticky, clean)) return block;
  }
  if (c <= kMaxListedClass) {
    if constexpr (kHasSeam) SeededFaults::At(SeededFaults::kHot, heap, c, heap.hot(c));
    if (Slab* slab = heap.hot(c); slab != nullptr) {
      heap.ForgetHot(c);
      if (Block* block = TryCandidate(heap, *slab, c, Source::kHot, clean)) return block;
    }
  }
  // A bench slab without blocks after all leaves the bench, so this ends.
  while (Slab* slab = heap.bench(c)) {
    if constexpr (kHasSeam) SeededFaults::At(SeededFaults::kBench, heap, c, slab);
    if (Block* block = TryCandidate(heap, *slab, c, Source::kBench, clean)) return block;
  }
  const bool only_freed = HasOwnUncarved(heap, heap.bound(c), c);
  if (Slab* slab = TakeFromMailbox(c, only_freed); slab != nullptr) {
    if (Block* block = TryCandidate(heap, *slab, c, Source::kMailbox, clean)) return block;
  }
  while (Slab* slab = TakeFromBoard(c, only_freed)) {
    if constexpr (kHasSeam) SeededFaults::At(SeededFaults::kGate, heap, c, slab);
    if (Block* block = TryCandidate(heap, *slab, c, Source::kMmapGate, clean)) return block;
  }
  if (Slab* slab = heap.bound(c); slab != nullptr) {
    if (Block* block = TryCandidate(heap, *slab, c, Source::kBound, clean)) return block;
  }
  while (Slab* slab = heap.rest->uncarved[c]) {
    if (Block* block = TryCandidate(heap, *slab, c, Source::kUncarved, clean)) return block;
  }
  if constexpr (kHasSeam) {
    SeededFaults::At(SeededFaults::kScanSuperslabs, heap, c, nullptr);
    SeededFaults::At(SeededFaults::kScanHot, heap, c, nullptr);
  }
  heap.pool_cache.dense = WillBeFull(heap, c, had_slab);
  std::optional<OwnedSlab> fresh = pool::Acquire(heap.pool_cache, heap.who, c);
  if (!fresh) return nullptr;
  if (!heap.pool_cache.dense) WatchSlab(*fresh);
  return TryCandidate(heap, fresh->slab(), c, Source::kPool, clean);
}

}  // namespace

Block* TakeFromBound(Heap& heap, unsigned size_class) {
  Slab* slab = heap.bound(size_class);
  if (slab == nullptr) return nullptr;
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(*slab, heap.who);
  if (!owned || !owned->HasFree()) return nullptr;
  heap.counters.blocks.Add(1);
  return owned->PopOne();
}

Block* Refill(Heap& heap, unsigned c, bool* clean) {
  *clean = false;
  if (HasList(c)) {
    heap.activity[c] |= Heap::kRecent;
    // Not empty when the thread has only now come by this heap: blocks that its start has brought, or, in a forked
    // child, that a thread which is gone has left.
    if (Block* first = heap.alloc(c); first != nullptr) {
      heap.alloc(c) = NextOf(first);
      return first;
    }
    if (Block* first = TakeFromLists(heap, c, c); first != nullptr) return first;
    if (Block* batch = TakeBatch(heap, c); batch != nullptr) {
      heap.counters.takeovers.Add(1);
      heap.alloc(c) = NextOf(batch);
      return batch;
    }
  }
  FlushSomeOfOutbox(heap);
  if (++heap.refills_since_balance >= kRefillsPerBalance) {
    heap.refills_since_balance = 0;
    pool::Balance();
    GiveBackCold(heap);
  }
  return FromSources(heap, c, clean);
}

void ReadInbox(Heap& heap) {
  Slab* slab = heap.inbox.TakeAll();
  while (slab != nullptr) {
    Slab* next = slab->inbox_next;
    std::optional<OwnedSlab> owned = OwnedSlab::Claim(*slab, heap.who);
    HAK_CHECK(owned.has_value());  // a notified slab cannot change its owner
    heap.counters.drains.Add(1);
    heap.counters.drained.Add(owned->Acknowledge());
    Settle(heap, std::move(*owned));
    slab = next;
  }
}

}  // namespace hakmem::tiny
