// Heaps, slabs and blocks in small, around hakmem's own shared words, for scenarios.
//
// The words and their transitions are the allocator's (remote_word.h, slot.h, inbox.h, mailbox.h, listed_flag.h,
// empty_list.h); what stands here around them does what OwnedSlab, outbox.cc, refill.cc, heap_slabs.cc and
// thread_heap.cc do around them, in the same order, with two or three blocks a slab and plain data that is watched for
// races. The names are the same.
#ifndef TESTING_SCHEDULE_HEAP_MODEL_H_
#define TESTING_SCHEDULE_HEAP_MODEL_H_

#include <array>
#include <string>
#include <vector>

#include "hakmem/mmap_gate/listed_flag.h"
#include "hakmem/shared_pool/empty_list.h"
#include "hakmem/superslab/remote_word.h"
#include "hakmem/superslab/slot.h"
#include "hakmem/tiny/inbox.h"
#include "hakmem/tiny/mailbox.h"
#include "testing/schedule/atomic.h"
#include "testing/schedule/explore.h"

namespace hakmem::schedule {

// A link that is an atomic in the allocator, though one thread at a time has it: checked as plain data.
template <class T>
class OwnLink {
 public:
  T load(std::memory_order) const { return value_.Get(); }
  void store(T value, std::memory_order) { value_ = value; }

 private:
  Plain<T> value_{nullptr, "the link in the list of empty slots"};
};

struct ModelSlab;

struct ModelBlock {
  Plain<ModelBlock*> next{nullptr, "a block's link"};
  Plain<int> bytes{0, "a block's bytes"};
  ModelSlab* slab = nullptr;
};

inline constexpr int kModelBlocks = 3;  // at most; a slab of most scenarios has two

struct ModelSlab {
  BasicRemoteWord<Atomic> remote;
  BasicSlot<Atomic> slot;
  int capacity = 2;
  Atomic<int> size_class{1};
  Plain<int> geometry{1, "a slab's geometry"};
  // The owner's.
  Plain<ModelBlock*> free{nullptr, "a slab's free list"};
  Plain<int> free_count{0, "a slab's count"};
  Plain<int> looked{0, "what a slab's owner saw"};  // remotely freed blocks when the owner last looked
  // Links.
  Plain<ModelSlab*> inbox_next{nullptr, "the link in the inbox"};
  Plain<bool> on_board{false, "the mark of the board"};
  Plain<ModelSlab*> board_next{nullptr, "the link on the board"};
  BasicListedFlag<Atomic> in_empty_list;
  OwnLink<ModelSlab*> empty_next;
  ModelBlock blocks[kModelBlocks];

  ModelSlab() {
    for (ModelBlock& block : blocks) block.slab = this;
  }
  uint16_t HeadOf(const ModelBlock* block) const { return static_cast<uint16_t>(block - blocks); }
  ModelBlock* BlockOf(const RemoteState& state) { return state.count == 0 ? nullptr : &blocks[state.head]; }
};

// Where refill looks for a name.
enum class Source : uint8_t { kSticky, kHot, kBench, kMailbox, kGate, kScan, kHotScan };

// The six faults of an earlier hakmem: a drain without ownership, or before the claim.
enum class OwnershipFault : uint8_t {
  kNone,
  kStickyDrains,
  kHotDrains,
  kBenchDrains,
  kGateDrains,
  kScanDrains,
  kHotScanDrains
};

struct ModelHeap {
  HeapId id = kNoHeap;
  // An atomic in the allocator; checked as plain data, because who looks an owner up has to find it.
  Plain<bool> entered{true, "the entry in the heap table"};
  BasicInbox<ModelSlab, Atomic> inbox;
  BasicHeapStateWord<Atomic> state;
  Plain<ModelSlab*> sticky{nullptr, "a heap's sticky ring"};
  Plain<ModelSlab*> hot{nullptr, "a heap's hot slot"};
  Plain<ModelSlab*> bench{nullptr, "a heap's bench"};
};

class World {
 public:
  World(int slabs, int heaps, OwnershipFault fault = OwnershipFault::kNone);

  ModelSlab& slab(int i) { return *slabs_[static_cast<size_t>(i)]; }
  ModelHeap& heap(int i) { return *heaps_[static_cast<size_t>(i)]; }

  // Set-up, before the threads start: slab `i` ACTIVE and heap `owner`'s (-1: nobody's), the first `home` blocks in its
  // own list, the others out.
  void SetUp(int i, int owner, int home);

  // What a slab's owner may do (OwnedSlab).
  int Used(ModelSlab& slab) const;
  void Drain(ModelSlab& slab);
  void PushOwn(ModelSlab& slab, ModelBlock* block);
  ModelBlock* PopOwn(ModelSlab& slab);
  void Settle(ModelHeap& heap, ModelSlab& slab);
  bool Retire(ModelHeap& heap, ModelSlab& slab);
  bool ReleaseOrKeep(ModelSlab& slab);

  // Frees by others, and notifications (outbox.cc).
  void PushRemote(ModelHeap& heap, ModelBlock* block);
  void Notify(HeapId owner, ModelSlab& slab);
  void ReadInbox(ModelHeap& heap);

  // Refill from one source; a block, or nullptr (refill.cc).
  ModelBlock* Refill(ModelHeap& heap, Source source);
  ModelBlock* TryCandidate(ModelHeap& heap, ModelSlab& slab, bool drains_first);

  // The board (adoption.h), whose lists a lock guards.
  void PostOnBoard(ModelSlab& slab);
  ModelSlab* TakeFromBoard();

  // A heap that its thread makes (heap_pool.cc).
  void Make(ModelHeap& heap);

  // The end of a thread, and heaps that nobody drives (thread_heap.cc, heap_pool.cc).
  void Empty(ModelHeap& heap);
  void PutIntoPool(ModelHeap& heap);
  void TidyPooled(ModelHeap& heap);

  // Slots (shared_pool.cc): takes an EMPTY slot of the class, sets it up for another, gives a slot back.
  bool TakeEmpty(ModelSlab& slab, SlotValue value, int size_class);
  void SetUpTaken(ModelSlab& slab, HeapId owner, int size_class);
  void GiveBackSlot(ModelSlab& slab);

  // What has to hold when all threads have ended, `out` the blocks that the program has. "" when all is well.
  std::string Check(const std::vector<ModelBlock*>& out);

  BasicMailbox<ModelSlab, Atomic> mailbox;
  pool::BasicEmptyList<ModelSlab, Atomic> empty_list;

 private:
  void TakeOver(ModelSlab& slab, const RemoteState& drained);
  void UnownedDrain(ModelSlab& slab);
  std::string CheckBlocks(ModelSlab& slab, const std::vector<ModelBlock*>& out);
  std::string CheckNames(ModelSlab& slab);

  OwnershipFault fault_;
  Mutex board_lock_;
  Plain<ModelSlab*> board_{nullptr, "the board"};
  Mutex pool_lock_;
  std::vector<std::unique_ptr<ModelSlab>> slabs_;
  std::vector<std::unique_ptr<ModelHeap>> heaps_;
};

// The program writes into a block that it has.
inline void Use(ModelBlock* block) { block->bytes = 1; }

}  // namespace hakmem::schedule

#endif  // TESTING_SCHEDULE_HEAP_MODEL_H_
