#include "hakmem/tiny/lists.h"

#include <array>
#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/outbox.h"

namespace hakmem::tiny {
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

}  // namespace

constexpr std::array<uint32_t, kListedClasses> kMostListed = [] {
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

namespace {

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

// `bytes` go back to slabs. Half as fast as it grows, so that a load that does both in turn keeps its room.
void ShrinkExtra(Heap& heap, size_t bytes) {
  const size_t less = bytes / 2;
  heap.rest->batch_extra -= less < heap.rest->batch_extra ? less : heap.rest->batch_extra;
}

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
  if (c <= kMaxListedClass) heap.SetHot(c, &slab);
  // Most runs come to a slab that had free blocks before and has others out: it stays where it is.
  if (slab.place != Slab::Place::kBench || owned->IsHome()) Settle(heap, std::move(*owned));
}

}  // namespace

bool HasList(unsigned size_class) { return size_class <= kMaxListedClass && g_options.tiny_fast_cap != 0; }

void GrowExtra(Heap& heap, size_t bytes) {
  const size_t extra = heap.rest->batch_extra + bytes;
  heap.rest->batch_extra = extra < kMostExtraBytes ? extra : kMostExtraBytes;
}

Block* TakeBatch(Heap& heap, unsigned c) {
  if (heap.rest->batch_bytes == 0) return nullptr;
  Block* batch = heap.rest->batches[c];
  if (batch == nullptr) return nullptr;
  heap.rest->batches[c] = NextBatch(batch);
  --heap.rest->batch_count[c];
  heap.rest->batch_bytes -= BatchBytes(c);
  return batch;
}

HAK_NOINLINE void LookAtIdle() {
  if (g_idle.idle() > g_options.idle_keep) pool::Balance();
}

Block* TakeFromLists(Heap& heap, unsigned list, unsigned size_class) {
  if (Block* first = TakeFreed(heap, heap.free(size_class), heap.alloc(list), size_class); first != nullptr)
    return first;
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

namespace {

// Programs often free what they have allocated one after the other in that order, or in the reverse one. Blocks that
// were not used for long are then missed in the cache one by one, several classes in turn being more streams than the
// hardware follows. Who frees neighbours will probably free the ones behind next: their first lines are fetched, as
// many as the next part of the list holds, in the same piece of the slab. False when the blocks freed last are no
// neighbours.
constexpr unsigned kNeighbours = 8;
HAK_NO_ASAN bool FetchAhead(const Block* first, size_t size, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(first);
  const size_t near = 2 * kNeighbours * size;
  const Block* block = first;
  for (unsigned i = 0; i < kNeighbours; ++i) {
    block = NextOf(block);
    if (block == nullptr || reinterpret_cast<uintptr_t>(block) - at + near > 2 * near) return false;
  }
  const bool down = block > first;
  const size_t step = size < 64 ? 64 : size;
  const size_t left = down ? at % kSlabSize : kSlabSize - at % kSlabSize;
  const size_t ahead = bytes < left ? bytes : left;
  for (size_t i = step; i < ahead; i += step) __builtin_prefetch(reinterpret_cast<const void*>(down ? at - i : at + i));
  return true;
}

void SetAside(Heap& heap, unsigned c) {
  Block* first = heap.free(c).head;
  const bool has_room =
      heap.rest->batch_count[c] < BatchesAllowed(c) && heap.rest->batch_bytes < BatchBytesAllowed(heap);
  // What may be set aside was used lately. A program that frees more than that frees old blocks.
  const size_t size = kSizeClasses[c].block_size;
  if (first != nullptr && !has_room && ListCapacity(c) > kNeighbours && FetchAhead(first, size, PartOf(c) * size)) {
    heap.ordered.Add(c);
  } else {
    heap.ordered.Remove(c);
  }
  ResetFreed(heap, heap.free(c), c);
  if (first == nullptr) return;
  if (has_room) {
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

}  // namespace

void MakeRoom(Heap& heap, unsigned c) {
  uint8_t& left = heap.rest->parts_left[c];
  FreeList& list = heap.free(c);
  if (!heap.ordered.Has(c) || left == 0 || list.filled - ThreadPointer() != kMaxListLength) {
    SetAside(heap, c);
    return;
  }
  const size_t size = kSizeClasses[c].block_size;
  uint32_t parts = 1;
  if (!FetchAhead(list.head, size, PartOf(c) * size)) {
    parts = left;
    heap.ordered.Remove(c);
  }
  left = static_cast<uint8_t>(left - parts);
  // Relaxed: read by others, to whom it only says that the list is not theirs.
  __atomic_store_n(&list.filled, list.filled - parts * PartOf(c), __ATOMIC_RELAXED);
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

bool AreListsSound(Heap& heap) {
  // More than a heap of a few slabs has: who comes so far goes round.
  size_t left = 2 * kSuperslabSize / kMinBlock;
  const auto ends = [&left](const Block* block) {
    for (; block != nullptr && left != 0; block = NextOf(block)) --left;
    return block == nullptr;
  };
  const auto has_blocks = [](const Block* block) {
    uintptr_t piece = 0;
    const Slab* slab = nullptr;
    for (; block != nullptr; block = NextOf(block)) {
      if (slab == nullptr || reinterpret_cast<uintptr_t>(block) >> kSlabShift != piece) {
        piece = reinterpret_cast<uintptr_t>(block) >> kSlabShift;
        slab = address_map::SlabOf(block);
      }
      if (slab == nullptr || !slab->IsBlockStart(block)) return false;
    }
    return true;
  };
  bool sound = true;
  heap.used.ForEach([&](unsigned c) {
    if (c > kMaxListedClass) return;
    // What is to be handed out next are mostly blocks that nobody has freed.
    for (unsigned list = c; list != 0 && ClassOfList(list) == c; --list) sound = sound && ends(heap.alloc(list));
    const Block* const freed = heap.free(c).head;
    sound = sound && ends(freed) && has_blocks(freed);
    if (heap.rest->batch_bytes == 0) return;
    for (const Block* batch = heap.rest->batches[c]; sound && batch != nullptr; batch = NextBatch(batch)) {
      sound = ends(batch) && has_blocks(batch);
    }
  });
  return sound;
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
      ResetFreed(heap, list, c);
      give_back(first);
    }
    while (Block* batch = TakeBatch(heap, c)) give_back(batch);
  });
}

}  // namespace hakmem::tiny
