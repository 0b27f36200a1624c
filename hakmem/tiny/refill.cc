#include "hakmem/tiny/refill.h"

#include <array>
#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/superslab/slab_event.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/outbox.h"
#include "hakmem/tiny/seeded_faults.h"

namespace hakmem::tiny {

using ring::Event;
using ring::Source;

namespace {

// A free list holds at most this many bytes, and as many lists are set aside as hold about kBatchBytes.
constexpr size_t kListBytes = size_t{32} << 10;
// But at least so many blocks, or as many as make a batch, and four in any case.
constexpr uint32_t kLeastListed = 8;
constexpr uint32_t kLeastOfAll = 4;
constexpr size_t kBatchBytes = size_t{128} << 10;
// What a heap sets aside in all classes together.
constexpr size_t kAllBatchesBytes = size_t{256} << 10;
// And at the most beyond that, while blocks that went back to their slabs are soon wanted again.
constexpr size_t kMostExtraBytes = size_t{4} << 20;
constexpr uint8_t kMaxBatches = 8;

// A table: a division in each takeover would cost as much as the rest of it.
constexpr std::array<uint32_t, kListedClasses> kCapacityByBytes = [] {
  std::array<uint32_t, kListedClasses> table{};
  for (unsigned c = 1; c < kListedClasses; ++c) {
    if (!IsClass(c)) continue;
    table[c] = ListsOf(c) * kListBytes / kSizeClasses[c].block_size;
    const uint32_t batch = static_cast<uint32_t>(kBatchBytes / kSizeClasses[c].block_size);
    const uint32_t least = batch > kLeastListed ? kLeastListed : batch < kLeastOfAll ? kLeastOfAll : batch;
    if (table[c] < least) table[c] = least;
  }
  return table;
}();

// Balance looks at the clock; once in so many refills is enough.
constexpr uint32_t kRefillsPerBalance = 64;

// Batches are linked through the second word of their first block.
struct BatchHead {
  Block* next_block;
  Block* next_batch;
};
HAK_NO_ASAN Block* NextBatch(const Block* first) { return reinterpret_cast<const BatchHead*>(first)->next_batch; }
HAK_NO_ASAN void SetNextBatch(Block* first, Block* next) { reinterpret_cast<BatchHead*>(first)->next_batch = next; }

// About how much a full list of the class holds.
size_t BatchBytes(unsigned size_class) { return ListCapacity(size_class) * kSizeClasses[size_class].block_size; }

uint32_t BatchesAllowed(unsigned size_class) {
  const size_t bytes = BatchBytes(size_class);
  if (bytes == 0) return 0;
  const size_t batches = kBatchBytes / bytes;
  return static_cast<uint32_t>(batches < kMaxBatches ? batches : kMaxBatches);
}

// What a heap may set aside follows how it uses memory. Blocks that go back to their slabs one by one and are taken out
// again cost a cache miss or two each; a load that does so gets more room. A heap that only frees loses it again, and
// with it, batch by batch, what it has set aside.
size_t BatchBytesAllowed(const Heap& heap) { return kAllBatchesBytes + heap.rest->batch_extra; }

// `bytes` of freed blocks came out of slabs again.
void GrowExtra(Heap& heap, size_t bytes) {
  const size_t extra = heap.rest->batch_extra + bytes;
  heap.rest->batch_extra = extra < kMostExtraBytes ? extra : kMostExtraBytes;
}

// `bytes` go back to slabs. Half as fast as it grows, so that a load that does both in turn keeps its room.
void ShrinkExtra(Heap& heap, size_t bytes) {
  const size_t less = bytes / 2;
  heap.rest->batch_extra -= less < heap.rest->batch_extra ? less : heap.rest->batch_extra;
}

void ResetFilled(FreeList& list, unsigned size_class) {
  list.head = nullptr;
  const uintptr_t start = ThreadPointer() + kMaxListLength - ListCapacity(size_class);
  __atomic_store_n(&list.filled, start, __ATOMIC_RELAXED);  // read by others, to whom it only says: not yours
}

bool HasList(unsigned size_class) { return size_class <= kMaxListedClass && g_options.tiny_fast_cap != 0; }

// A block that is freed a second time, others after it, closes its list to a ring. Finds out whether there is one, at
// the price of a comparison a block (Brent's algorithm); reports it then, and opens it, so that each block in it goes
// home once. What was freed before the block's first time cannot be reached any more.
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

// Takes a block of an alloc list for another one that shares its class, which gets a few of the next ones as well, so
// that a program that uses both sizes in turn seldom comes here.
constexpr size_t kLentBytes = size_t{4} << 10;
constexpr uint32_t kLendMark = 4;
Block* Lend(Heap& heap, unsigned from, unsigned to) {
  Block* first = heap.alloc(from);
  Block* rest = NextOf(first);
  Block* last = first;
  const Block* mark = first;
  uint32_t count = 0;
  for (size_t bytes = 0; rest != nullptr && bytes < kLentBytes; bytes += to * kMinBlock) {
    // What is cut off here would open a ring unseen: a short one is found.
    if (HAK_UNLIKELY(rest == first || rest == mark)) {
      OpenRing(first);
      return Lend(heap, from, to);
    }
    if (++count == kLendMark) mark = rest;
    last = rest;
    rest = NextOf(rest);
  }
  heap.lent.Add(ClassOfList(from));
  heap.alloc(from) = rest;
  heap.alloc(to) = last == first ? nullptr : NextOf(first);
  if (last != first) SetNext(last, nullptr);
  return first;
}

// Takes the batch that was set aside last, nullptr when there is none.
Block* TakeBatch(Heap& heap, unsigned c) {
  Block* batch = heap.rest->batches[c];
  if (batch == nullptr) return nullptr;
  heap.rest->batches[c] = NextBatch(batch);
  --heap.rest->batch_count[c];
  heap.rest->batch_bytes -= BatchBytes(c);
  return batch;
}

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

// Cuts a chain of neighbouring blocks, of which the first is taken, into parts for those lists of the class that are
// empty, where the program uses more than one of them: they would else have to lend each other blocks.
void ShareOut(Heap& heap, const Chain& chain, unsigned c) {
  if (!heap.lent.Has(c)) return;
  const unsigned lists = ListsOf(c);
  const uint32_t part = (chain.count - 1) / lists;
  if (part == 0) return;
  const size_t size = kSizeClasses[c].block_size;
  const auto block_at = [&](uint32_t i) {
    return reinterpret_cast<Block*>(reinterpret_cast<char*>(chain.first) + i * size);
  };
  // Blocks of a page that was given back come in another order.
  if (chain.last != block_at(chain.count - 1)) return;
  uint32_t at = (chain.count - 1) % lists;
  for (unsigned list = c - 1; list > c - lists; --list) {
    if (heap.alloc(list) != nullptr) continue;
    at += part;
    Block* const last = block_at(at);
    heap.alloc(list) = NextOf(last);
    SetNext(last, nullptr);
  }
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
  heap.counters.refills.Add(1);
  heap.counters.blocks.Add(chain.count);
  heap.alloc(size_class) = NextOf(chain.first);
  if (!freed) ShareOut(heap, chain, size_class);
  return chain.first;
}

// Whether the heap gives up its slab, which has no block left. Who frees the first of its blocks becomes the owner:
// often another thread, which then uses the blocks again that would else wait for a thread that perhaps only sleeps.
// Only when the slab is full for the first time, and only where many blocks share the price of a claim.
constexpr uint32_t kLeastSharedBlocks = 16;
bool IsForAnybody(const OwnedSlab& owned) {
  const Slab& slab = owned.slab();
  return g_options.tiny_ss_adopt != 0 && slab.size_class() <= kMaxListedClass &&
         slab.geometry().capacity >= kLeastSharedBlocks && owned.IsFirstFull() && !owned.HasRemote();
}

// Visits. Of many threads most have few blocks of a class: were each to keep a slab for them, every block would cost a
// page. So the first three times blocks come out of a slab that stays nobody's: the next thread finds it in the
// mailbox. Blocks of two threads would then lie side by side, and what a thread allocates at its start it often writes
// for as long as it lives: a visit takes as many blocks as fill whole cache lines, of memory that was never handed out.
constexpr size_t kCacheLine = 64;
constexpr uint32_t BlocksOfWholeLines(size_t block_size) {
  return block_size % kCacheLine == 0 ? 1 : block_size % (kCacheLine / 2) == 0 ? 2 : 4;
}
static_assert(kMinBlock * 4 == kCacheLine);

// Whether the heap takes what it needs out of a slab that it has just claimed, and gives the slab up again.
bool IsVisit(const Heap& heap, const OwnedSlab& owned) {
  const unsigned c = owned.slab().size_class();
  return (heap.to_visit[0].Has(c) || heap.to_visit[1].Has(c)) && HasList(c) && g_options.tiny_ss_adopt != 0 &&
         (owned.HasUncarved() || (owned.HasFree() && BlocksOfWholeLines(kSizeClasses[c].block_size) == 1));
}

Block* Visit(Heap& heap, OwnedSlab owned, bool* clean) {
  const unsigned c = owned.slab().size_class();
  if (heap.to_visit[0].Has(c)) {
    heap.to_visit[0].Remove(c);
  } else {
    heap.to_visit[1].Remove(c);
    heap.to_visit[0].Add(c);
  }
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
  if (was_ours && !IsForAnybody(*owned)) {
    if (slab.place == Slab::Place::kBound) RememberSticky(heap, &slab);
    Place(heap, *owned);
  } else {
    if (was_ours) slab.given_up_by.store(heap.who.id, std::memory_order_relaxed);  // a hint
    ReleaseOrPlace(heap, std::move(*owned));
  }
  return nullptr;
}

// Whether the heap's own `slab` holds blocks that were freed.
bool HoldsFreed(const Heap& heap, Slab& slab) {
  const std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap.who);
  return owned && (owned->HasFree() || owned->HasRemote());
}

// Whether the class's next slab will probably be used from end to end: blocks above those of lists are few to a slab
// and mostly used whole, and a class that wants a third slab is growing.
bool WillBeFull(Heap& heap, unsigned c, bool had_slab) {
  if (c > kMaxListedClass) return true;
  if (!had_slab) return false;
  const bool grown = heap.grown.Has(c);
  heap.grown.Add(c);
  return grown;
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
    if (Slab* slab = heap.rest->bench[c]; slab != nullptr) {
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
    if constexpr (kHasSeam) SeededFaults::At(SeededFaults::kHot, heap, c, heap.rest->hot[c]);
    if (Slab* slab = heap.rest->hot[c]; slab != nullptr) {
      heap.rest->hot[c] = nullptr;
      if (Block* block = TryCandidate(heap, *slab, c, Source::kHot, clean)) return block;
    }
  }
  // A bench slab without blocks after all leaves the bench, so this ends.
  while (Slab* slab = heap.rest->bench[c]) {
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
  return TryCandidate(heap, fresh->slab(), c, Source::kPool, clean);
}

// Of lists that are full one in so many is looked at: the walk costs a sixth of the frees that filled it.
constexpr uintptr_t kListsPerLook = 16;
bool IsLookedAt(const Block* first) { return (reinterpret_cast<uintptr_t>(first) / kMinBlock) % kListsPerLook == 0; }

// Puts a run of blocks of one slab back.
void GiveBackRun(Heap& heap, Slab& slab, const Chain& chain) {
  if (HAK_UNLIKELY(slab.owner() != heap.who.id)) {
    // Released since the blocks were freed: as good as freed by a stranger.
    Block* block = chain.first;
    for (uint32_t i = 0; i < chain.count; ++i) {
      Block* next = NextOf(block);
      AddToOutbox(heap, slab, block);
      block = next;
    }
    return;
  }
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap.who);
  HAK_ASSERT(owned.has_value());
  heap.counters.flushed.Add(chain.count);
  owned->Push(chain);
  const unsigned c = slab.size_class();
  if (c <= kMaxListedClass) heap.rest->hot[c] = &slab;
  // Most runs come to a slab that had free blocks before and has others out: it stays where it is.
  if (slab.place != Slab::Place::kBench || owned->IsHome()) Settle(heap, std::move(*owned));
}

}  // namespace

uint32_t ListCapacity(unsigned size_class) {
  if (size_class > kMaxListedClass) return 0;
  const uint32_t by_bytes = kCapacityByBytes[size_class];
  const uint32_t most = g_options.tiny_fast_cap;
  return by_bytes < most ? by_bytes : most;
}

Block* TakeFromBound(Heap& heap, unsigned size_class) {
  Slab* slab = heap.bound(size_class);
  if (slab == nullptr) return nullptr;
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(*slab, heap.who);
  if (!owned || !owned->HasFree()) return nullptr;
  heap.counters.blocks.Add(1);
  return owned->PopOne();
}

Block* TakeFromLists(Heap& heap, unsigned list, unsigned size_class) {
  FreeList& freed = heap.free(size_class);
  if (Block* first = freed.head; first != nullptr) {
    heap.counters.takeovers.Add(1);
    ResetFilled(freed, size_class);
    heap.alloc(list) = NextOf(first);
    return first;
  }
  if (size_class > kSteppedClasses) return nullptr;
  for (unsigned other = size_class; ClassOfList(other) == size_class; --other) {
    if (heap.alloc(other) != nullptr) return Lend(heap, other, list);
  }
  return nullptr;
}

void Refilled(Heap& heap, unsigned list, unsigned size_class) {
  if (list == size_class || heap.alloc(list) != nullptr) return;
  heap.alloc(list) = heap.alloc(size_class);
  heap.alloc(size_class) = nullptr;
}

Block* Refill(Heap& heap, unsigned c, bool* clean) {
  *clean = false;
  if (HasList(c)) {
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
  }
  return FromSources(heap, c, clean);
}

void SetAside(Heap& heap, unsigned c) {
  FreeList& list = heap.free(c);
  Block* first = list.head;
  ResetFilled(list, c);
  if (first == nullptr) return;
  if (heap.rest->batch_count[c] < BatchesAllowed(c) && heap.rest->batch_bytes < BatchBytesAllowed(heap)) {
    heap.rest->batch_bytes += BatchBytes(c);
    SetNextBatch(first, heap.rest->batches[c]);
    heap.rest->batches[c] = first;
    ++heap.rest->batch_count[c];
    return;
  }
  ShrinkExtra(heap, BatchBytes(c));
  if (IsLookedAt(first)) OpenRing(first);
  GiveBack(heap, first);
  if (heap.rest->batch_bytes > BatchBytesAllowed(heap)) {
    if (Block* batch = TakeBatch(heap, c); batch != nullptr) {
      if (IsLookedAt(batch)) OpenRing(batch);
      GiveBack(heap, batch);
    }
  }
}

namespace {

// Puts a list of blocks back, of about `kRuns` slabs at a time.
template <size_t kRuns>
void GiveBackAtOnce(Heap& heap, Block* first) {
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
  const auto give_back = [&heap](const Run& run) {
    if (run.count != 0) GiveBackRun(heap, *run.slab, {run.first, run.last, run.count});
  };
  while (first != nullptr) {
    const uintptr_t piece = reinterpret_cast<uintptr_t>(first) >> kSlabShift;
    const size_t at = piece % kRuns;
    const bool in_use = ((used >> at) & 1) != 0;
    Run& run = runs[at];
    if (!in_use || pieces[at] != piece) {
      if (in_use) give_back(run);
      Slab* slab = address_map::SlabOf(first);
      HAK_CHECK(slab != nullptr);  // blocks in lists are ours
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
}

}  // namespace

void GiveBack(Heap& heap, Block* first) { GiveBackAtOnce<64>(heap, first); }

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

void GiveBackLists(Heap& heap) {
  const auto give_back = [&heap](Block* first) {
    OpenRing(first);
    // At the end of a thread what its stack has touched stays resident (glibc keeps stacks): a small frame.
    GiveBackAtOnce<16>(heap, first);
  };
  heap.used.ForEach([&](unsigned c) {
    if (c > kMaxListedClass) return;
    for (unsigned list = c; list != 0 && ClassOfList(list) == c; --list) {
      if (Block* first = heap.alloc(list); first != nullptr) {
        heap.alloc(list) = nullptr;
        give_back(first);
      }
    }
    FreeList& list = heap.free(c);
    if (Block* first = list.head; first != nullptr) {
      ResetFilled(list, c);
      give_back(first);
    }
    while (Block* batch = TakeBatch(heap, c)) give_back(batch);
  });
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
