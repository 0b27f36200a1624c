// The heap: what one thread owns. Heaps are pooled and outlive threads.
//
// Lists. A thread takes blocks from one list (alloc) and frees them onto another (free), of each class; between 256
// bytes and 1 KiB several alloc lists share a class and its free list (size_classes.h). An empty alloc list takes over
// the free list whole. A block freed now is so not handed out by the very next malloc, whose load of the link would
// wait for the store of the free. A free list that is full is set aside whole as a batch, and refill takes a batch back
// whole; only batches beyond a bound go back to their slabs, block by block.
//
// Synchronisation: a heap is driven by one thread at a time, which alone touches everything here but the inbox and the
// state. Other threads push slabs onto the inbox, which the driver takes whole. A heap changes its driver only through
// the heap pool, whose lock orders the change.
#ifndef HAKMEM_TINY_HEAP_H_
#define HAKMEM_TINY_HEAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hakmem/platform/compiler.h"
#include "hakmem/platform/thread_pointer.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/superslab/owned_slab.h"
#include "hakmem/tiny/inbox.h"

namespace hakmem {

// The most blocks that a free list can hold. Far below the distance of two thread pointers: see FreeList.
inline constexpr uintptr_t kMaxListLength = 1024;

// A list that blocks are freed onto.
//
// `filled` answers two questions of free() in one comparison: is the calling thread the one that drives this heap, and
// has the list room? It holds the driver's thread pointer plus the number of blocks plus what the list may not use of
// kMaxListLength; so filled - ThreadPointer() is below kMaxListLength for the driver's own list with room, and for
// nothing else. While nobody drives the heap it is 0, or, of a warm one, without the thread pointer.
struct FreeList {
  Block* head;
  uintptr_t filled;
};
static_assert(sizeof(FreeList) == 8 * kTagStep);

// A number for statistics that one thread changes and any thread reads.
class Counter {
 public:
  void Add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);  // one writer; orders nothing
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }  // for printing

 private:
  std::atomic<uint64_t> value_{0};
};

struct HeapCounters {
  Counter refills;         // lists filled anew
  Counter blocks;          // blocks that refills brought
  Counter takeovers;       // free lists and batches taken back whole
  Counter flushed;         // blocks that went back to their slabs one by one
  Counter remote_frees;    // blocks freed into slabs of others
  Counter remote_pushes;   // atomic pushes that these took
  Counter notifications;   // slabs put into other heaps' inboxes
  Counter drains;          // remote lists taken
  Counter drained;         // blocks in them
  Counter adopted;         // slabs claimed that a heap, perhaps this one, had released
  Counter claims_refused;  // candidates that somebody else owned
};

// A slab that blocks were freed into lately, with the blocks that wait to be pushed to it in one operation.
struct alignas(64) OutboxEntry {
  Slab* slab = nullptr;
  Chain chain;
  // Of the slab, as it is while a block of it waits here: the slab's own words are the owner's cache line. After a
  // double free the slab may have another class by now.
  uintptr_t piece = 0;             // the number of its first 64 KiB, as OutboxPiece counts; 0: no slab
  const SizeClass* row = nullptr;  // of its class
  uint8_t most = 0;                // blocks: with so many the chain is sent
  bool unowned = false;            // the slab was nobody's when the entry was made
};

// Lists beyond the 16-byte steps: classes kSteppedClasses + 1 to kMaxListedClass.
inline constexpr unsigned kWideClasses = kMaxListedClass - kSteppedClasses;

class ClassSet {
 public:
  bool Has(unsigned c) const { return ((words_[c / 64] >> (c % 64)) & 1) != 0; }
  void Add(unsigned c) { words_[c / 64] |= uint64_t{1} << (c % 64); }
  void Remove(unsigned c) { words_[c / 64] &= ~(uint64_t{1} << (c % 64)); }
  void SetAll(bool in) {
    for (uint64_t& word : words_) word = in ? ~uint64_t{0} : 0;
  }
  // Calls `visit(c)` for each class that is in the set now; those that it adds may be missed.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (unsigned i = 0; i < sizeof(words_) / sizeof(words_[0]); ++i) {
      for (uint64_t rest = words_[i]; rest != 0; rest &= rest - 1) {
        visit(i * 64 + static_cast<unsigned>(__builtin_ctzll(rest)));
      }
    }
  }

 private:
  uint64_t words_[(kClasses + 63) / 64];
};

// The part of a heap that a thread with few small blocks does not touch.
struct alignas(64) HeapRest {
  static constexpr size_t kOutboxIndex = 256;
  static constexpr size_t kOutboxEntries = 255;  // a byte of the index holds their numbers, from 1 on
  static constexpr size_t kStickyEntries = 8;

  // A page: what threads with few blocks look at. (Where the kernel counts pages that were only read.)
  Block* alloc[kWideClasses];
  FreeList free[kWideClasses];
  Slab* sticky[kStickyEntries];  // slabs used up lately: others may have freed into them since
  uint32_t sticky_at;
  // The one slab of a class without lists that is kept although all its blocks are home; nullptr when there is none.
  Slab* kept;
  Slab* full;  // own slabs without free blocks, linked both ways
  Slab* bound[kClasses - 1 - kSteppedClasses];
  Slab*
      uncarved[kClasses];  // own slabs without free blocks, but with memory that was never handed out, linked both ways
  ClassSet has_hot;        // classes that have a hot slab
  ClassSet has_bench;      // classes that ever had a slab on the bench
  size_t batch_bytes;      // in all lists set aside
  size_t batch_extra;      // what they may hold beyond the least
  size_t outbox_bytes;     // in all entries
  uint32_t outbox_used;    // entries that hold blocks: numbers 1 to this
  uint32_t outbox_next;    // the number below has its turn to be sent; 0 and 1: the last one
  uint32_t outbox_unowned;       // entries whose slab was nobody's when they were made
  uint32_t outbox_unowned_next;  // as outbox_next, among these
  // The number of a slab's entry, by the slab's address; 0: it has none.
  uint8_t outbox_index[kOutboxIndex];
  OutboxEntry outbox[kOutboxEntries + 1];  // number 0 is nobody's; the first ones lie in the page

  Slab* bench[kClasses];           // see Heap::bench
  Slab* hot[kListedClasses];       // see Heap::hot
  Block* batches[kListedClasses];  // lists set aside; the second word of a list's first block links to the next list
  uint8_t batch_count[kListedClasses];
  uint8_t parts_left[kListedClasses];  // of ordered classes, how often the free list still gets more room
};
static_assert(offsetof(HeapRest, outbox[14]) <= 4096);

struct alignas(64) Heap {
  // What malloc and free touch. Heaps lie next to each other, so that a thread with few blocks costs half a page.
  Block* alloc_steps[kSteppedClasses + 1];
  HeapRest* rest;
  FreeList free_steps[kSteppedClasses + 1];

  // What refill touches.
  Slab* bound_steps[kSteppedClasses + 1];  // the slab that refill takes from first
  Claimant who;
  BasicHeapStateWord<> state;
  bool busy;            // inside a slow path: a child forked now must not use this heap
  bool tidied;          // by a thread that found it pooled, and which tidies those to which its blocks go as well
  bool left_others;     // while it was tidied, blocks went to pooled heaps
  uint8_t exit_rounds;  // how often the thread's destructor put itself off
  uint32_t refills_since_balance;
  ClassSet used;         // classes of which it has slabs or blocks in lists, and perhaps more
  ClassSet grown;        // classes that have asked for a slab while they had one
  ClassSet lent;         // classes of which one list has taken blocks of another
  ClassSet ordered;      // classes of which neighbours were freed one after the other, a list full of them
  ClassSet pinned;       // classes whose slabs were kept by lists alone: these are short
  ClassSet to_visit[3];  // how often each class is still visited (see refill.cc), in binary: ones, twos, fours
  BasicInbox<Slab> inbox;
  pool::Cache pool_cache;
  HeapCounters counters;

  // What happened to the lists of each class, in bytes, as bits of a set would cost more: whether an alloc list took
  // over what was freed, since the driver started; whether anything was, since GiveBackCold looked last.
  static constexpr uint8_t kTakenOver = 1;
  static constexpr uint8_t kRecent = 2;
  uint8_t activity[kListedClasses];
  uint8_t cold_at;  // the class at which GiveBackCold looked last

  // Of the heap pool, guarded by its lock.
  Heap* pool_prev;
  Heap* pool_next;
  // What its slabs filled when it became the warm heap, until its next driver stops; 0 of all other heaps.
  size_t warm_slots;
  // The thread pointer, which fork keeps, of who drives it; 0: nobody. A thread drives its own heap, and for a moment
  // others: one that it borrows or tidies, one that it is about to make its own, one that it puts back. Reports look at
  // it without the lock.
  std::atomic<uintptr_t> driven_by;

  // By list.
  Block*& alloc(unsigned list) {
    return list <= kSteppedClasses ? alloc_steps[list] : rest->alloc[list - kSteppedClasses - 1];
  }
  // Of classes with lists.
  FreeList& free(unsigned c) { return c <= kSteppedClasses ? free_steps[c] : rest->free[c - kSteppedClasses - 1]; }
  // The first of the own slabs with free blocks, which are linked both ways; nullptr when there is none.
  Slab* bench(unsigned c) const { return rest->has_bench.Has(c) ? rest->bench[c] : nullptr; }
  // The slab that blocks of the class went back to last; nullptr when there is none.
  Slab* hot(unsigned c) const { return rest->has_hot.Has(c) ? rest->hot[c] : nullptr; }
  void SetHot(unsigned c, Slab* slab) {
    rest->hot[c] = slab;
    rest->has_hot.Add(c);
  }
  void ForgetHot(unsigned c) { rest->has_hot.Remove(c); }
  template <class Visit>
  void ForEachFreeList(Visit visit) {
    for (FreeList& list : free_steps) visit(list);
    for (FreeList& list : rest->free) visit(list);
  }
  // Of all classes.
  Slab*& bound(unsigned c) { return c <= kSteppedClasses ? bound_steps[c] : rest->bound[c - kSteppedClasses - 1]; }
};

// The heap of the calling thread. Points to lists that are always empty before the thread's first allocation and after
// its end, so that malloc needs no check of its own. One pointer, initial-exec: a larger thread-local block would break
// dlopen(3).
extern __thread Heap* tls_heap __attribute__((tls_model("initial-exec"))) HAK_HIDDEN;

// What tls_heap points to before the first allocation and after the end of a thread.
Heap* NotStartedHeap();
Heap* FinishedHeap();

// What tls_heap points to while there is no heap that malloc may take from: the lists are always empty, so that every
// call takes a slow path, which goes on with the heap behind. A stand-in has no rest; every heap has one.
struct alignas(64) StandIn {
  Block* alloc_steps[kSteppedClasses + 1];
  HeapRest* rest;
  Heap* heap;  // nullptr: there is none, the thread has not started or has finished
};
static_assert(offsetof(StandIn, alloc_steps) == offsetof(Heap, alloc_steps));
static_assert(offsetof(StandIn, rest) == offsetof(Heap, rest));

// The heap that the calling thread drives, NotStartedHeap or FinishedHeap.
inline Heap* DrivenHeap() {
  Heap* heap = tls_heap;
  if (HAK_LIKELY(heap->rest != nullptr)) return heap;
  Heap* behind = reinterpret_cast<StandIn*>(heap)->heap;
  return behind != nullptr ? behind : heap;
}

// Who sees every call: the threads get stand-ins, and blocks have no tags, so that no hit path serves them.
struct Watcher {
  // The stand-in for the calling thread, which starts to drive `heap`; nullptr: none.
  StandIn* (*start)(Heap& heap);
  // The calling thread's heap has ended.
  void (*end)(StandIn& stand_in);
};
// Constant once the first allocation is served.
extern const Watcher* g_watcher HAK_HIDDEN;

}  // namespace hakmem

#endif  // HAKMEM_TINY_HEAP_H_
