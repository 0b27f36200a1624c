#include "hakmem/api/block_events.h"

#include "hakmem/api/core.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/superslab/slab_event.h"
#include "hakmem/tiny/live_blocks.h"
#include "hakmem/tiny/thread_heap.h"

namespace hakmem::block_events {

constinit bool g_wanted = false;

namespace {

using ring::Event;

void Write(Event event, const void* p, uint64_t value, const void* caller) {
  if (const Slab* slab = address_map::SlabOf(p); slab != nullptr) {
    ring::Write(event, p, slab->base(), slab->size_class(), slab->owner(), value, caller);
  } else {
    // A thread that has none but huge blocks gets a heap, too: its end is noticed by the heap's.
    tiny::HeapScope scope;
    ring::Write(event, p, nullptr, 0, ring::kNoOwner, value, caller);
  }
}

}  // namespace

void WriteAllocated(const void* p, size_t size, const void* caller) {
  if (p == nullptr) return;
  if constexpr (!kTrackBlocks) tiny::MarkLive(p);
  Write(Event::kMalloc, p, size, caller);
}

bool WriteFreed(const void* p, const void* caller) {
  if constexpr (!kTrackBlocks) {
    if (!tiny::MarkFreed("free", p)) return false;
  }
  // What is no block of hakmem's is reported by the caller.
  if (core::Owns(p)) Write(Event::kFree, p, core::UsableSize(p), caller);
  return true;
}

void WriteResized(const void* from, const void* to, size_t size, const void* caller) {
  if (from != to) Write(Event::kFree, from, core::UsableSize(to), caller);
  Write(Event::kRealloc, to, size, caller);
}

}  // namespace hakmem::block_events
