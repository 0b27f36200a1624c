#include "hakmem/tiny/tiny.h"

#include <utility>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/superslab/slab_event.h"
#include "hakmem/tiny/give_back.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"
#include "hakmem/tiny/lists.h"
#include "hakmem/tiny/outbox.h"
#include "hakmem/tiny/refill.h"
#include "hakmem/tiny/thread_heap.h"

namespace hakmem::tiny {
namespace {

// A block that a heap frees into its own slab, but not by the hit path: the list is full, the class or the heap has
// none, or there is no window.
void FreeOwn(Heap& heap, Slab& slab, Block* block) {
  const unsigned c = slab.size_class();
  if (ListCapacity(c) == 0) {
    GiveBackTo(heap, slab, block);
    return;
  }
  FreeList& list = heap.free(c);
  if (HAK_UNLIKELY(list.head == block)) {
    ReportFault(Fault::kDoubleFree, "free", block, "it was freed last");
    return;
  }
  if (list.filled - ThreadPointer() >= kMaxListLength) MakeRoom(heap, c);
  SetNext(block, list.head);
  list.head = block;
  __atomic_store_n(&list.filled, list.filled + 1, __ATOMIC_RELAXED);  // read by others, to whom it says: not yours
}

// Whether all blocks of a slab that nobody owns seem to be out: a look.
bool LooksFull(const Slab& slab) {
  const Slab::Look look = slab.LookFromOutside();
  return look.free_count == 0 && look.carved == slab.geometry().capacity && slab.PeekRemote().count == 0;
}

// A block of a slab that nobody owns. False, and nothing done, when somebody else claims the slab first, or when this
// heap has no use for its blocks and did not give it up as full as it is now: they are gathered in the outbox, and the
// slab stays nobody's, so that a thread that goes to sleep after a few frees keeps no memory from those who free the
// rest.
bool FreeUnowned(Heap& heap, Slab& slab, Block* block) {
  // A block that a push has sent cannot be the program's: whatever moment the look is of, it is a second free.
  const RemoteState state = slab.PeekRemote();
  if (HAK_UNLIKELY(state.count != 0 &&
                   slab.base() + size_t{state.head} * kMinBlock == reinterpret_cast<char*>(block))) {
    ReportFault(Fault::kDoubleFree, "free", block, "it was freed last");
    return true;
  }
  const HeapId given_up_by = slab.given_up_by.load(std::memory_order_relaxed);  // a hint
  if (!WantsBlocks(heap, slab.size_class()) && (given_up_by != heap.who.id || !LooksFull(slab))) return false;
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, heap.who);
  if (!owned) return false;
  // A heap that never refills looks here, or slabs into which others free would pile up in its inbox.
  if (!heap.inbox.LooksEmpty()) ReadInbox(heap);
  heap.counters.adopted.Add(1);
  ring::Note(ring::Event::kAdopt, slab);
  if (!owned->HasFree() && !owned->HasRemote() && !owned->HasUncarved()) {
    if (HasList(slab.size_class())) {
      Place(heap, *owned);
      FreeOwn(heap, slab, block);
    } else {
      PushFreed(heap, *owned, block);
      Settle(heap, std::move(*owned));
    }
    return true;
  }
  // What an ended thread left is to come to an end, or to be used: no list keeps its blocks out, and a heap that does
  // not allocate of the class leaves the slab to those that do.
  PushFreed(heap, *owned, block);
  if (owned->IsHome() || WantsBlocks(heap, slab.size_class())) {
    Settle(heap, std::move(*owned));
  } else {
    ReleaseOrPlace(heap, std::move(*owned));
  }
  return true;
}

// Without memory for a heap: the block waits in its slab.
void FreeWithoutHeap(Slab& slab, Block* block) {
  Chain chain;
  chain.PushFront(block);
  PushWithoutHeap(slab, chain);
}

struct TrimContext {
  Heap* heap;
  size_t bytes;
};

// Slabs that nobody owns: claims, purges and releases them.
void TrimUnowned(Superslab& superslab, void* opaque) {
  TrimContext& context = *static_cast<TrimContext*>(opaque);
  for (Slab& slab : superslab.slabs) {
    if (slab.owner() != kNoHeap || !slab.LooksFreed()) continue;   // a look
    if (slab.slot().Peek().state != SlotState::kActive) continue;  // as above
    std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, context.heap->who);
    if (!owned) continue;
    context.bytes += owned->PurgeFreePages();
    if (owned->IsHome()) {
      Settle(*context.heap, std::move(*owned));
    } else {
      ReleaseOrPlace(*context.heap, std::move(*owned));
    }
  }
}

}  // namespace

void* TryAllocate(unsigned list) {
  Heap* heap = tls_heap;
  if (HAK_UNLIKELY(heap->rest == nullptr)) return nullptr;
  const bool is_list = list <= kMaxListedClass;
  if (HAK_LIKELY(is_list)) {
    Block*& blocks = heap->alloc(list);
    if (Block* block = blocks; HAK_LIKELY(block != nullptr)) {
      blocks = NextOf(block);
      return block;
    }
  }
  // Lists of few blocks come here often.
  const bool was_busy = heap->busy;
  SetBusy(*heap, true);
  Block* block = is_list ? TakeFromLists(*heap, list, ClassOfList(list)) : TakeFromBound(*heap, list);
  SetBusy(*heap, was_busy);
  return block;
}

HAK_NOINLINE void* AllocateFromSlabs(unsigned list, bool* clean) {
  HeapScope scope;
  if (HAK_UNLIKELY(scope.heap() == nullptr)) return nullptr;
  const unsigned size_class = ClassOfList(list);
  Block* block = Refill(*scope.heap(), size_class, clean);
  Refilled(*scope.heap(), list, size_class);
  return block;
}

void* Allocate(unsigned list, bool* clean) {
  if (void* p = TryAllocate(list); p != nullptr) {
    *clean = false;
    return p;
  }
  return AllocateFromSlabs(list, clean);
}

void Free(void* p, Slab& slab) {
  if (HAK_UNLIKELY(!slab.IsBlockStart(p))) {
    ReportFault(Fault::kInteriorPointer, "free", p, "");
    return;
  }
  Block* block = static_cast<Block*>(p);
  HeapScope scope;
  if (HAK_UNLIKELY(scope.heap() == nullptr)) {
    FreeWithoutHeap(slab, block);
    return;
  }
  Heap& heap = *scope.heap();
  const HeapId owner = slab.owner();
  if (owner == heap.who.id) {
    FreeOwn(heap, slab, block);
  } else if (owner != kNoHeap || WaitsInOutbox(heap, slab) || !FreeUnowned(heap, slab, block)) {
    // What of the slab waits in the outbox goes first: it may be this very block.
    AddToOutbox(heap, slab, block);
  }
}

size_t Trim(bool pages) {
  HeapScope scope;
  size_t bytes = 0;
  TidyAllPooled();
  if (Heap* heap = scope.heap(); heap != nullptr) {
    GiveBackLists(*heap);
    FlushOutbox(*heap);
    // Last: the outbox may have held blocks of a slab that has become the heap's own since.
    ReadInbox(*heap);
    ForEachOwned(*heap, heap->used, [&](OwnedSlab owned) {
      Slab& slab = owned.slab();
      if (owned.IsHome()) {
        Unplace(*heap, owned);
        if (owned.Retire()) {
          pool::Release(heap->pool_cache, slab);
          return;
        }
      } else if (pages) {
        bytes += owned.PurgeFreePages();
      }
      Place(*heap, owned);
    });
    if (pages) {
      TrimContext context = {heap, 0};
      pool::ForEachSuperslab(TrimUnowned, &context);
      bytes += context.bytes;
    }
  }
  return bytes;
}

}  // namespace hakmem::tiny
