// Slabs and superslabs: their metadata, which lies in mappings of its own, never between blocks.
//
// A slab is a span of one or more 64 KiB pieces of a superslab that holds blocks of one size class. At any time, for
// each slab that is in use,
//
//     blocks out + blocks home + uncarved blocks = capacity
//
// where home counts the slab's own free list and the remotely freed blocks of its remote word, and out counts all
// others: those with the program, and those in lists of heaps. A block that was never handed out, or whose page was
// given back to the system, is uncarved. A slab's free list and counters are touched through OwnedSlab alone
// (owned_slab.h).
#ifndef HAKMEM_SUPERSLAB_SLAB_H_
#define HAKMEM_SUPERSLAB_SLAB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hakmem/mmap_gate/adoption.h"
#include "hakmem/mmap_gate/listed_flag.h"
#include "hakmem/mmap_gate/window.h"
#include "hakmem/platform/build.h"
#include "hakmem/superslab/block.h"
#include "hakmem/superslab/remote_word.h"
#include "hakmem/superslab/size_classes.h"
#include "hakmem/superslab/slot.h"

namespace hakmem {

struct Superslab;
class OwnedSlab;

// The smallest page that memory can be given back by.
inline constexpr unsigned kPageShift = 12;
inline constexpr unsigned kPagesPerSlab = kSlabSize >> kPageShift;

class Slab {
 public:
  // Constant while the slab's slot is ACTIVE, set up by OwnedSlab::SetUp alone.
  unsigned size_class() const { return size_class_.load(std::memory_order_relaxed); }  // a look, or the owner's own
  const SizeClass& geometry() const { return kSizeClasses[size_class()]; }
  size_t block_size() const { return geometry().block_size; }
  char* base() const { return base_; }
  Superslab& superslab() const { return *superslab_; }
  unsigned index() const { return index_; }
  size_t span() const { return geometry().span; }
  bool Contains(const void* p) const {
    return reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(base_) < span() * kSlabSize;
  }
  // Whether `p`, which lies in the slab, is the start of a block that exists.
  bool IsBlockStart(const void* p) const {
    return geometry().IsBlockAt(static_cast<size_t>(static_cast<const char*>(p) - base_));
  }

  // Whether blocks have come home since free pages went back; a look from outside.
  HAK_NO_TSAN bool LooksFreed() const { return freed_ || PeekRemote().count != 0; }

  // For reports and hints: what the owner last wrote, perhaps half of it.
  struct Look {
    const Block* free;
    uint32_t free_count;
    uint32_t carved;
    uint32_t purged;  // of the carved ones, those whose page was given back
  };
  HAK_NO_TSAN Look LookFromOutside() const { return {free_, free_count_, carved_, purged_blocks_}; }

  RemoteState PeekRemote() const { return remote_.Peek(); }
  HeapId owner() const { return remote_.Peek().owner; }
  Slot& slot() { return slot_; }
  AdoptionNode& adoption() { return adoption_; }
  static Slab* FromAdoption(AdoptionNode* node);

  // The link in its owner's inbox; the pusher's that set the notified bit, then the owner's.
  Slab* inbox_next = nullptr;
  // The link in the shared pool's list of empty slots, with the flag that it is in there.
  std::atomic<Slab*> empty_next{nullptr};
  BasicListedFlag<> in_empty_list;

 private:
  friend class OwnedSlab;
  friend struct Superslab;

  // Above and here what several threads touch; below, on a cache line of its own, what is the owner's.
  RemoteWord remote_;
  Slot slot_;
  AdoptionNode adoption_;

 public:
  // Where its owner keeps it; the owner's alone.
  enum class Place : uint8_t { kNowhere, kBound, kBench, kUncarved, kFull };
  alignas(64) Slab* prev = nullptr;
  Slab* next = nullptr;
  Place place = Place::kNowhere;

 private:
  bool freed_ = false;  // blocks have come home since free pages went back

 public:
  // The heap that gave the slab up when all its blocks were out, the last time. A hint for whoever frees into it.
  std::atomic<HeapId> given_up_by{kNoHeap};

 private:
  Block* free_ = nullptr;
  char* base_ = nullptr;
  Superslab* superslab_ = nullptr;
  uint32_t free_count_ = 0;
  uint32_t carved_ = 0;         // blocks below this index were handed out at least once
  uint32_t purged_blocks_ = 0;  // of those, how many start in a page that was given back: they count as uncarved
  std::atomic<uint8_t> size_class_{0};
  uint8_t index_ = 0;
  bool clean_ = false;       // uncarved memory reads as zero
  bool handed_out_ = false;  // blocks that were home, or whose page was given back, left since free pages went back
};
static_assert(sizeof(Slab) == 128);

// What stands behind each superslab-sized piece of memory that hakmem has mapped for blocks.
struct Region {
  enum class Kind : uint8_t { kNone, kSuperslab, kHuge };
  std::atomic<Kind> kind{Kind::kNone};

  // Where it starts. Changes when the metadata live again, also under the eyes of a thread that frees something of
  // before a second time.
  char* base() const { return base_.load(std::memory_order_relaxed); }        // whatever led here orders
  void SetBase(char* base) { base_.store(base, std::memory_order_relaxed); }  // who enters the region publishes

 private:
  std::atomic<char*> base_{nullptr};
};

struct Superslab : Region {
  // Slots that are UNUSED; taking a run of them is one compare and exchange.
  std::atomic<uint32_t> unused{0};
  // Slots whose span is ACTIVE. 0: the superslab is idle.
  std::atomic<uint32_t> active{0};
  // First slots of spans that are EMPTY; a hint for searches.
  std::atomic<uint32_t> empty{0};
  // Slots that may hold other bytes than zero.
  std::atomic<uint32_t> dirty{0};
  // Slots whose memory was given back since they were last in use.
  std::atomic<uint32_t> purged{0};
  uint32_t number = 0;                             // in the shared pool's registry
  Superslab* lru_prev = nullptr;                   // guarded by the shared pool's lock
  Superslab* lru_next = nullptr;                   // ditto
  std::atomic<bool> huge{false};                   // one huge page was asked for; a hint
  std::atomic<bool> unasked{false};                // that page has brought slots that were not in use yet; a hint
  std::atomic<HeapId> made_by{kNoHeap};            // the heap that took it for its slabs; a hint
  bool in_lru = false;                             // guarded by the shared pool's lock
  uint8_t head_delta[kSlabsPerSuperslab] = {};     // distance of a slot from the first of its span
  uint16_t purged_pages[kSlabsPerSuperslab] = {};  // the owner's: a bit for each page given back out of a slab in use
  Slab slabs[kSlabsPerSuperslab];
  // Debug builds: a bit for each 16 bytes, set while a block that starts there is with the program.
  std::atomic<uint64_t>* live_bits = nullptr;
  // Guard builds: for each 16 bytes, the size that was asked for at the block that starts there.
  std::atomic<uint32_t>* asked_sizes = nullptr;

  // Prepares the metadata for a superslab at `address` whose slots are all the caller's; `is_dirty` when its memory may
  // hold bytes.
  void Prepare(char* address, bool is_dirty);
  // The slab that holds `p`, which lies in this superslab. (Or did: who frees a block twice may find the superslab of
  // the first time, which begins elsewhere by now. Wherever that is, it is aligned.)
  Slab& SlabAt(const void* p) {
    const size_t slot = (reinterpret_cast<uintptr_t>(p) >> kSlabShift) % kSlabsPerSuperslab;
    return slabs[slot - head_delta[slot]];
  }
};

inline constexpr size_t kLiveWords = kSuperslabSize / kMinBlock / 64;

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_SLAB_H_
