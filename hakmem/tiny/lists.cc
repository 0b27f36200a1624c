#include "hakmem/tiny/lists.h"

#include <array>
#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/tiny/give_back.h"

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
  heap.activity[ClassOfList(from)] |= Heap::kRecent;
  heap.alloc(from) = rest;
  heap.alloc(to) = last == first ? nullptr : NextOf(first);
  if (last != first) SetNext(last, nullptr);
  return first;
}

// Of lists that are full one in so many is looked at: the walk costs a sixth of the frees that filled it.
constexpr uintptr_t kListsPerLook = 16;
bool IsLookedAt(const Block* first) { return (reinterpret_cast<uintptr_t>(first) / kMinBlock) % kListsPerLook == 0; }

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

// A program that frees all blocks of a class, in any order, leaves the last ones in lists: one in each of many slabs
// keeps them all. Where nearly all slabs that a list came back to have few blocks out, the class gives back what else
// it has in lists, and keeps a few blocks from then on, until it takes some out of a slab again or its slabs are kept
// by others.
constexpr uint32_t kManyRuns = 16;
void LookWhatPins(Heap& heap, unsigned c, const Returned& returned) {
  if (ListCapacity(c) <= kPinnedListed) return;
  const bool before = heap.pinned.Has(c);
  if ((returned.runs < kManyRuns && !before) || returned.nearly_home < returned.runs - returned.runs / 4) {
    heap.pinned.Remove(c);
    return;
  }
  if (before) return;
  heap.pinned.Add(c);
  while (Block* batch = TakeBatch(heap, c)) (void)GiveBack(heap, batch);
  for (unsigned list = c; list != 0 && ClassOfList(list) == c; --list) {
    if (Block* blocks = heap.alloc(list); blocks != nullptr) {
      heap.alloc(list) = nullptr;
      (void)GiveBack(heap, blocks);
    }
  }
  ResetFreed(heap, heap.free(c), c);
}

void SetAside(Heap& heap, unsigned c) {
  heap.activity[c] |= Heap::kRecent;
  Block* first = heap.free(c).head;
  const bool has_room = heap.rest->batch_count[c] < BatchesAllowed(c) &&
                        heap.rest->batch_bytes < BatchBytesAllowed(heap) && !heap.pinned.Has(c);
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
  LookWhatPins(heap, c, GiveBack(heap, first));
  if (heap.rest->batch_bytes > BatchBytesAllowed(heap)) {
    if (Block* batch = TakeBatch(heap, c); batch != nullptr) {
      if (IsLookedAt(batch)) OpenRing(batch);
      (void)GiveBack(heap, batch);
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

bool AreListsSound(Heap& heap) {
  // More than a heap of a few slabs has: who comes so far goes round.
  size_t left = 2 * kSuperslabSize / kMinBlock;
  const auto ends = [&left](const Block* block) {
    for (; block != nullptr && left != 0; block = NextOf(block)) --left;
    return block == nullptr;
  };
  const auto ends_and_has_blocks = [&left](const Block* block) {
    uintptr_t piece = 0;
    const Slab* slab = nullptr;
    for (; block != nullptr && left != 0; block = NextOf(block), --left) {
      if (slab == nullptr || reinterpret_cast<uintptr_t>(block) >> kSlabShift != piece) {
        piece = reinterpret_cast<uintptr_t>(block) >> kSlabShift;
        slab = address_map::SlabOf(block);
      }
      if (slab == nullptr || !slab->IsBlockStart(block)) return false;
    }
    return block == nullptr;
  };
  bool sound = true;
  heap.used.ForEach([&](unsigned c) {
    if (c > kMaxListedClass) return;
    // What is to be handed out next came out of slabs, unless it was taken over. (A batch is taken back when the free
    // list, which was not empty when it was set aside, has been taken over: by this driver, or the batch was looked at
    // when the former one ended.)
    if ((heap.activity[c] & Heap::kTakenOver) != 0) {
      for (unsigned list = c; list != 0 && ClassOfList(list) == c; --list) sound = sound && ends(heap.alloc(list));
    }
    sound = sound && ends_and_has_blocks(heap.free(c).head);
    if (heap.rest->batch_bytes == 0) return;
    for (const Block* batch = heap.rest->batches[c]; sound && batch != nullptr; batch = NextBatch(batch)) {
      sound = ends_and_has_blocks(batch);
    }
  });
  return sound;
}

}  // namespace hakmem::tiny
