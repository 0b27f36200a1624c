#include "hakmem/tiny/heap_slabs.h"

#include <atomic>
#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/mailbox.h"

namespace hakmem::tiny {
namespace {

using SlabPlace = Slab::Place;

constinit AdoptionBoard<kClasses> board;
constinit BasicMailbox<Slab> mailboxes[kClasses];

void LinkFront(Slab*& head, Slab& slab) {
  slab.prev = nullptr;
  slab.next = head;
  if (head != nullptr) head->prev = &slab;
  head = &slab;
}

void Unlink(Slab*& head, Slab& slab) {
  (slab.prev != nullptr ? slab.prev->next : head) = slab.next;
  if (slab.next != nullptr) slab.next->prev = slab.prev;
  slab.prev = slab.next = nullptr;
}

bool HasFreed(const OwnedSlab& owned) { return owned.HasFree() || owned.HasRemote(); }

// A look at a slab that others may own.
bool LooksFreed(const Slab& slab) { return slab.LookFromOutside().free_count != 0 || slab.PeekRemote().count != 0; }

// All blocks are home: ends the slab's life.
void RetireOrPlace(Heap& heap, OwnedSlab& owned) {
  Slab& slab = owned.slab();
  Unplace(heap, owned);
  if (owned.Retire()) {
    pool::Release(heap.pool_cache, slab);
  } else {
    // A notification is on its way, and the slab is settled when the inbox is read.
    Place(heap, owned);
  }
}

// What the heaps of the process may keep in such slabs. Counts; they order nothing.
constexpr size_t kMostKeptBytes = size_t{4} << 20;
constinit std::atomic<size_t> kept_bytes{0};

// The slab that was kept may go as any other.
void Forget(Heap& heap) {
  kept_bytes.fetch_sub(heap.rest->kept->span() * kSlabSize, std::memory_order_relaxed);  // a count
  heap.rest->kept = nullptr;
}

// Whether a slab whose blocks are all home stays: else a program at the edge of a slab would set it up again and again.
// For each class with lists that is the bound slab, of the other classes, whose slabs are large, one in all, while all
// heaps together do not keep too much.
bool IsKept(Heap& heap, const OwnedSlab& owned) {
  Slab& slab = owned.slab();
  const unsigned c = slab.size_class();
  if (slab.place != SlabPlace::kBound || heap.bench(c) != nullptr) return false;
  if (c <= kMaxListedClass || heap.rest->kept == &slab) return true;
  if (Slab* former = heap.rest->kept; former != nullptr) {
    Forget(heap);
    if (auto other = OwnedSlab::Claim(*former, heap.who); other && other->IsHome()) RetireOrPlace(heap, *other);
  }
  const size_t bytes = slab.span() * kSlabSize;
  if (kept_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes > kMostKeptBytes) {  // a count
    kept_bytes.fetch_sub(bytes, std::memory_order_relaxed);                               // ditto
    return false;
  }
  heap.rest->kept = &slab;
  return true;
}

// The list of a place, of slabs of a class.
Slab*& ListOf(Heap& heap, SlabPlace place, unsigned size_class) {
  switch (place) {
    case SlabPlace::kBench: heap.rest->has_bench.Add(size_class); return heap.rest->bench[size_class];
    case SlabPlace::kUncarved: return heap.rest->uncarved[size_class];
    default: return heap.rest->full;
  }
}

}  // namespace

void Post(Slab& slab) {
  if (!mailboxes[slab.size_class()].Post(&slab)) board.Post(&slab.adoption(), [&slab] { return slab.size_class(); });
}

void Unplace(Heap& heap, const OwnedSlab& owned) {
  Slab& slab = owned.slab();
  const unsigned c = slab.size_class();
  switch (slab.place) {
    case SlabPlace::kNowhere: return;
    case SlabPlace::kBound: heap.bound(c) = nullptr; break;
    default: Unlink(ListOf(heap, slab.place, c), slab);
  }
  slab.place = SlabPlace::kNowhere;
  if (heap.rest->kept == &slab) Forget(heap);
  if (c <= kMaxListedClass && heap.hot(c) == &slab) heap.ForgetHot(c);
}

void Place(Heap& heap, const OwnedSlab& owned) {
  Slab& slab = owned.slab();
  const SlabPlace wanted = HasFreed(owned)       ? SlabPlace::kBench
                           : owned.HasUncarved() ? SlabPlace::kUncarved
                                                 : SlabPlace::kFull;
  if (slab.place == wanted || (slab.place == SlabPlace::kBound && wanted != SlabPlace::kFull)) return;
  Unplace(heap, owned);
  heap.used.Add(slab.size_class());
  LinkFront(ListOf(heap, wanted, slab.size_class()), slab);
  slab.place = wanted;
}

void Bind(Heap& heap, const OwnedSlab& owned) {
  Slab& slab = owned.slab();
  if (slab.place == SlabPlace::kBound) return;
  Unplace(heap, owned);
  const unsigned c = slab.size_class();
  if (Slab* former = heap.bound(c); former != nullptr) {
    if (auto other = OwnedSlab::Claim(*former, heap.who)) {
      if (IsForAnybody(*other)) {
        GiveUp(heap, std::move(*other));
      } else {
        Unplace(heap, *other);
        Place(heap, *other);
      }
    }
  }
  heap.used.Add(c);
  heap.bound(c) = &slab;
  slab.place = SlabPlace::kBound;
}

// Slabs of more blocks go from thread to thread too often for what they bring: a producer and three consumers took 4 %
// more memory.
constexpr uint32_t kMostSharedAgain = 64;
bool IsForAnybody(const OwnedSlab& owned) {
  if (g_options.tiny_ss_adopt == 0 || owned.HasFree() || owned.HasUncarved() || owned.HasRemote()) return false;
  const Slab& slab = owned.slab();
  if (slab.size_class() <= kMaxListedClass && owned.IsFirstFull()) return true;
  return slab.geometry().capacity <= kMostSharedAgain && heap_pool::DrivenHeaps() != 1;
}

void GiveUp(Heap& heap, OwnedSlab owned) {
  owned.slab().given_up_by.store(heap.who.id, std::memory_order_relaxed);  // a hint
  ReleaseOrPlace(heap, std::move(owned));
}

void RememberSticky(Heap& heap, Slab* slab) {
  heap.rest->sticky[heap.rest->sticky_at++ % HeapRest::kStickyEntries] = slab;
}

void Settle(Heap& heap, OwnedSlab owned) {
  if (!owned.IsHome() || IsKept(heap, owned)) {
    Place(heap, owned);
  } else {
    RetireOrPlace(heap, owned);
  }
}

bool WantsBlocks(Heap& heap, unsigned c) {
  return heap.bound(c) != nullptr && heap.bench(c) == nullptr && (c > kMaxListedClass || heap.free(c).head == nullptr);
}

void ReleaseOrPlace(Heap& heap, OwnedSlab owned) {
  Slab& slab = owned.slab();
  const bool has_blocks = HasFreed(owned) || owned.HasUncarved();
  Unplace(heap, owned);
  if (!owned.Release()) {
    Place(heap, owned);
    return;
  }
  if (has_blocks) Post(slab);
}

size_t CountSlots(Heap& heap, size_t most) {
  size_t slots = 0;
  const auto add = [&](const Slab* slab) {
    for (; slab != nullptr && slots <= most; slab = slab->next) slots += slab->span();
  };
  heap.used.ForEach([&](unsigned c) {
    add(heap.bound(c));
    add(heap.bench(c));
    add(heap.rest->uncarved[c]);
  });
  add(heap.rest->full);
  return slots;
}

Slab* TakeFromMailbox(unsigned size_class, bool only_freed) {
  if (only_freed) {
    const Slab* slab = mailboxes[size_class].Peek();
    if (slab == nullptr || !LooksFreed(*slab)) return nullptr;
  }
  return mailboxes[size_class].Take();
}

Slab* TakeFromBoard(unsigned size_class, bool only_freed) {
  AdoptionNode* node = board.Take(
      size_class, [only_freed](AdoptionNode* first) { return !only_freed || LooksFreed(*Slab::FromAdoption(first)); });
  return node == nullptr ? nullptr : Slab::FromAdoption(node);
}

Lock& BoardLock() { return board.lock(); }

}  // namespace hakmem::tiny
