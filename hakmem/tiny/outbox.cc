#include "hakmem/tiny/outbox.h"

#include <array>
#include <utility>

#include "hakmem/diag/check.h"
#include "hakmem/platform/at_work.h"
#include "hakmem/superslab/slab_event.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/thread_heap.h"

namespace hakmem::tiny {
namespace {

// The most blocks, and bytes, that wait for one slab.
constexpr uint32_t kMostBlocks = 64;
constexpr size_t kMostBytes = size_t{8} << 10;
// In about so many refills all that waits has its turn.
constexpr uint32_t kRefillsToFlush = 32;
static_assert(HeapRest::kOutboxEntries <= UINT8_MAX);  // the index holds an entry's number

// Entries of slabs that nobody owned when they were made. Their blocks keep slabs that would else come to an end, for
// as long as a thread sleeps: there are few of them.
constexpr uint32_t kMostUnowned = 64;

constexpr std::array<uint8_t, kClasses> kMostByClass = [] {
  std::array<uint8_t, kClasses> table{};
  for (unsigned c = 1; c < kClasses; ++c) {
    if (!IsClass(c)) continue;
    const size_t size = kSizeClasses[c].block_size;
    const size_t by_bytes = (kMostBytes + size - 1) / size;
    table[c] = static_cast<uint8_t>(by_bytes < kMostBlocks ? by_bytes : kMostBlocks);
  }
  return table;
}();

// How many blocks of the slab are gathered. Of one that nobody owns not more than are out, by a look: with the last one
// the slab comes to its end, which nothing should put off.
uint8_t MostOf(const Slab& slab) {
  const uint8_t most = kMostByClass[slab.size_class()];
  const RemoteState state = slab.PeekRemote();
  if (state.owner != kNoHeap) return most;
  const Slab::Look look = slab.LookFromOutside();
  const uint32_t out = look.carved - look.purged - look.free_count - state.count;
  return out < most ? static_cast<uint8_t>(out) : most;
}

// Puts a slab, whose notified bit the caller has set, into the inbox of its owner. Returns the owner when nobody drives
// it, so that the caller has to see to its inbox; nullptr otherwise.
[[nodiscard]] Heap* Notify(HeapId owner_id, Slab& slab) {
  Heap* owner = heap_pool::ById(owner_id);
  owner->inbox.Put(&slab);
  // Either we see the heap pooled, or who pools it sees this slab.
  return owner->state.IsPooled() ? owner : nullptr;
}

// A block that was freed a second time, others in between, closes its chain to a ring, which a push would cut with a
// wrong count. The chain with each block once, after a report.
HAK_COLD Chain OpenRing(const Chain& chain) {
  Block* blocks[kMostBlocks];
  uint32_t count = 0;
  Block* block = chain.first;
  for (; block != nullptr && count < kMostBlocks; block = NextOf(block)) {
    bool again = false;
    for (uint32_t i = 0; i < count && !again; ++i) again = blocks[i] == block;
    if (again) break;
    blocks[count++] = block;
  }
  ReportFault(Fault::kDoubleFree, "free", block, "found when its slab's blocks were sent home");
  SetNext(blocks[count - 1], nullptr);
  return {chain.first, blocks[count - 1], count};
}
Chain WithoutRing(const Chain& chain) {
  const Block* block = chain.first;
  uint32_t count = 1;
  for (; block != chain.last && count < chain.count; block = NextOf(block)) ++count;
  return HAK_LIKELY(block == chain.last && count == chain.count) ? chain : OpenRing(chain);
}

HAK_NOINLINE void PushEntry(Heap& heap, unsigned number) {
  HeapRest& rest = *heap.rest;
  const OutboxEntry entry = rest.outbox[number];
  OutboxIndexFor(rest, entry.piece) = 0;
  // The last one closes the gap.
  if (const unsigned last = rest.outbox_used--; number != last) {
    rest.outbox[number] = rest.outbox[last];
    OutboxIndexFor(rest, rest.outbox[number].piece) = static_cast<uint8_t>(number);
  }
  if (entry.unowned) --rest.outbox_unowned;
  rest.outbox_bytes -= entry.chain.count * entry.row->block_size;
  heap.counters.remote_pushes.Add(1);
  HeapId notify = kNoHeap;
  if (auto owned = OwnedSlab::PushRemote(*entry.slab, WithoutRing(entry.chain), heap.who, &notify)) {
    heap.counters.adopted.Add(1);
    ring::Note(ring::Event::kAdopt, *entry.slab);
    if (owned->IsHome() || WantsBlocks(heap, entry.slab->size_class())) {
      Settle(heap, std::move(*owned));
    } else {
      ReleaseOrPlace(heap, std::move(*owned));
    }
  } else if (notify != kNoHeap) {
    heap.counters.notifications.Add(1);
    Heap* const pooled = Notify(notify, *entry.slab);
    if (pooled == nullptr) return;
    // Not from within the tidying of another one: in a forked child each of many heaps may have blocks of the next.
    if (heap.tidied) {
      heap.left_others = true;
    } else {
      TidyPooled(pooled);
    }
  }
}

// Pushes the entry whose turn it is. From the last to the first: what is added during a round, and closes gaps, stands
// behind, so that nothing which waited when the round began is passed over.
void PushNext(Heap& heap) {
  uint32_t& next = heap.rest->outbox_next;
  next = next <= 1 || next > heap.rest->outbox_used + 1 ? heap.rest->outbox_used : next - 1;
  PushEntry(heap, next);
}

// The same of those whose slab was nobody's; there are some.
HAK_NOINLINE void PushNextUnowned(Heap& heap) {
  HeapRest& rest = *heap.rest;
  uint32_t& next = rest.outbox_unowned_next;
  do {
    next = next <= 1 || next > rest.outbox_used + 1 ? rest.outbox_used : next - 1;
  } while (!rest.outbox[next].unowned);
  PushEntry(heap, next);
}

}  // namespace

void AddToOutbox(Heap& heap, Slab& slab, Block* block) {
  HeapRest& rest = *heap.rest;
  const uintptr_t piece = OutboxPiece(slab.base());
  uint8_t& number = OutboxIndexFor(rest, piece);
  if (number != 0 && rest.outbox[number].slab != &slab) PushEntry(heap, number);
  if (number == 0) {
    if (rest.outbox_used == HeapRest::kOutboxEntries) PushNext(heap);
    const bool unowned = slab.owner() == kNoHeap;  // a look
    if (unowned && rest.outbox_unowned == kMostUnowned) PushNextUnowned(heap);
    if (unowned) ++rest.outbox_unowned;
    rest.outbox[++rest.outbox_used] = {&slab, {}, piece, &slab.geometry(), MostOf(slab), unowned};
    number = static_cast<uint8_t>(rest.outbox_used);
  }
  OutboxEntry& entry = rest.outbox[number];
  if (HAK_UNLIKELY(entry.chain.first == block)) {
    ReportFault(Fault::kDoubleFree, "free", block, "it was freed last");
    return;
  }
  heap.counters.remote_frees.Add(1);
  if (entry.chain.count == 0) entry.chain.last = block;
  AddToEntry(rest, entry, block);
  if (IsSurplus(rest, entry)) SendSurplus(heap, entry);
}

HAK_NOINLINE void SendSurplus(Heap& heap, OutboxEntry& entry) {
  const bool was_busy = heap.busy;
  SetBusy(heap, true);
  if (entry.chain.count >= entry.most) PushEntry(heap, static_cast<unsigned>(&entry - heap.rest->outbox));
  while (heap.rest->outbox_bytes >= kMostOutboxBytes) PushNext(heap);
  SetBusy(heap, was_busy);
}

bool WaitsInOutbox(const Heap& heap, const Slab& slab) {
  return heap.rest->outbox[OutboxIndexFor(*heap.rest, OutboxPiece(slab.base()))].slab == &slab;
}

void PushWithoutHeap(Slab& slab, const Chain& chain) {
  const AtWork at_work;  // no heap is busy
  HeapId notify = kNoHeap;
  // The slab is not claimed: the claimant is nobody.
  if (OwnedSlab::PushRemote(slab, chain, Claimant{kNoHeap, 0, 0}, &notify)) HAK_CHECK(false);
  if (notify != kNoHeap) {
    if (Heap* const pooled = Notify(notify, slab); pooled != nullptr) TidyPooled(pooled);
  } else if (slab.owner() == kNoHeap) {
    // Nobody looks after it: else these blocks would wait until somebody comes by.
    Post(slab);
  }
}

void FlushSomeOfOutbox(Heap& heap) {
  for (uint32_t i = (heap.rest->outbox_used + kRefillsToFlush - 1) / kRefillsToFlush; i > 0; --i) PushNext(heap);
}

void FlushOutbox(Heap& heap) {
  while (heap.rest->outbox_used != 0) PushNext(heap);
}

}  // namespace hakmem::tiny
