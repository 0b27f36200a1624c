#include "hakmem/large/huge.h"

#include <cstring>

#include "hakmem/config/options.h"
#include "hakmem/diag/check.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/fill_record.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/poison.h"
#include "hakmem/platform/round_up.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::huge {
namespace {

constinit Lock lock{LockRank::kHuge};
constinit HugeBlock* spare HAK_GUARDED_BY(lock) = nullptr;

// A number that changes under the lock and is read without it: five atomic additions would be a third of what a huge
// block costs.
class Count {
 public:
  void Add(uint64_t n) HAK_REQUIRES(lock) { value_.store(value() + n, std::memory_order_relaxed); }  // orders nothing
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }                          // as above

 private:
  std::atomic<uint64_t> value_{0};
};
constinit Count blocks_now;
constinit Count allocated;
constinit Count in_place;
constinit Count moved;

// Blocks with room: each keeps a superslab of addresses to itself, and a page of the kernel's tables.
constexpr uint32_t kMostWithRoom = 16;
constinit uint32_t with_room HAK_GUARDED_BY(lock) = 0;

// The block has no room any more, or is no more.
void UncountRoom(HugeBlock& block) HAK_REQUIRES(lock) {
  if (block.has_room) --with_room;
  block.has_room = false;
}

size_t RoundToPages(size_t size) { return RoundUp(size, os::PageSize()); }
size_t PiecesFor(size_t size) { return (size + kSuperslabSize - 1) >> kSuperslabShift; }

// The bytes of all blocks are counted where they are looked at beside what is idle.
void AddBytes(size_t bytes) HAK_REQUIRES(lock) { g_idle.SetOwnPieces(g_idle.own_pieces() + bytes); }

// A block of `bytes` bytes is there, or is no more.
void CountIn(size_t bytes) HAK_REQUIRES(lock) {
  blocks_now.Add(1);
  AddBytes(bytes);
  allocated.Add(1);
}
void CountOut(size_t bytes) HAK_REQUIRES(lock) {
  blocks_now.Add(uint64_t{0} - 1);
  AddBytes(size_t{0} - bytes);
}

// The block that was freed last, if it is short: it keeps its pieces, its entries in the address map and its kind,
// which is none, so that a program which allocates and frees a buffer again and again pays one lock each time. Its
// memory counts as idle.
constexpr size_t kMostKeptPieces = 2;
constinit HugeBlock* kept HAK_GUARDED_BY(lock) = nullptr;

size_t BytesOf(const HugeBlock& block) { return block.pieces << kSuperslabShift; }

// Metadata of a block of `bytes` bytes; nullptr without memory. With `*reuse` it may be the kept block, with its
// pieces, which counts from now on; `*reuse` then tells whether it is.
HugeBlock* Begin(size_t bytes, bool* reuse) {
  {
    LockHolder hold(lock);
    *reuse = *reuse && kept != nullptr && kept->pieces == PiecesFor(bytes);
    HugeBlock* const block = *reuse ? kept : spare;
    if (*reuse) {
      kept = nullptr;
      CountIn(bytes);
      g_idle.RemoveIdle(BytesOf(*block));
    } else if (block != nullptr) {
      spare = block->next_spare;
    }
    if (block != nullptr) return block;
  }
  return static_cast<HugeBlock*>(gate::AllocateMetadata(sizeof(HugeBlock), 64));
}

void GiveSpare(HugeBlock* block) HAK_REQUIRES(lock) {
  block->next_spare = spare;
  spare = block;
}

// Zeroes those pieces that may hold other bytes; fresh ones are not touched. A piece of which less than half is there
// goes back to the system instead: the program touched little of it before, and to write it would make it resident.
void Zero(char* base, size_t size) {
  for (size_t i = 0; i << kSuperslabShift < size; ++i) {
    if (!arena::IsDirty(base, i)) continue;
    char* const piece = base + (i << kSuperslabShift);
    const size_t bytes = size - (i << kSuperslabShift) < kSuperslabSize ? size % kSuperslabSize : kSuperslabSize;
    const bool is_there = os::ResidentBytes(piece, kSuperslabSize) >= kSuperslabSize / 2;
    if (is_there || !gate::Purge(piece, kSuperslabSize)) memset(piece, 0, bytes);
  }
}

// Of a block's pieces those that get huge pages when `size` bytes of it are used: what it fills, and the last one where
// that makes the block a fifth longer at the most: a page fault instead of hundreds. Also for the sake of a few
// bytes: once a piece has small pages it stays so when the block grows over it, or the next one does. A block of a
// single piece that is not full must have `grown`: it is often a buffer of which little is used.
size_t FilledPieces(size_t size, bool grown = false) {
  const size_t pieces = PiecesFor(size);
  const size_t unused = (pieces << kSuperslabShift) - size;
  return (pieces > 1 || grown) && unused <= size / 5 ? pieces : size >> kSuperslabShift;
}

// Whether a block of `old_size` bytes that is to grow to `size` had better be copied: it is used, it lies in small
// pages, and copying so much takes less time than the page faults for the rest of its first piece, which a huge page
// spares.
constexpr size_t kMostCopied = kSuperslabSize / 8 * 5;
bool IsBetterCopied(const HugeBlock& block, size_t old_size, size_t size) {
  return block.pieces == 1 && old_size <= kMostCopied && size > old_size && FilledPieces(size, true) != 0 &&
         g_options.huge_pages == 1 && g_options.memory_limit == 0 && InWindow(block.base()) &&
         !arena::IsHuge(block.base()) && os::HugePagesReturn() &&
         os::ResidentBytes(block.base(), old_size) >= old_size / 4 * 3;
}

// A block that is to read as zero may stay empty in large parts: its pages come one by one. One of middle length is
// rather a buffer or a matrix.
constexpr size_t kLeastFilledZeroes = 4 * kSuperslabSize;
constexpr size_t kMostFilledZeroes = 16 * kSuperslabSize;
bool IsSparse(size_t size, bool zero) { return zero && (size < kLeastFilledZeroes || size > kMostFilledZeroes); }

// Which pieces of a block, from `first` up to `end`, get huge pages.
struct PieceRange {
  size_t first;
  size_t end;
};

// Which of those that are new in a block of `size` bytes: none where the program touches such blocks in parts only, and
// no more than it is trusted with. The first one may stay small, as the witness of that: what a program uses of a
// block, or of what it has grown by, begins there.
PieceRange TrustedPieces(const HugeBlock& block, size_t size, PieceRange fresh) {
  using Advice = arena::FillRecord::Advice;
  if (g_options.huge_pages != 1 || !InWindow(block.base())) return fresh;
  // What was in use before is there as it is, unless the program did not touch all of that, either.
  const bool was_filled = arena::g_fill.SeemsFilled(size);
  const auto is_empty = [&block, was_filled](size_t i) {
    if (!arena::IsDirty(block.base(), i)) return true;
    return !was_filled && os::ResidentBytes(block.base() + (i << kSuperslabShift), os::PageSize()) == 0;
  };
  size_t empty = 0;
  for (size_t i = fresh.first; i < fresh.end; ++i) empty += is_empty(i) ? 1 : 0;
  if (empty == 0) return fresh;
  // A block that grows was filled so far, if its last piece was.
  const bool grows = fresh.first != 0 && os::ResidentBytes(block.base() + ((fresh.first - 1) << kSuperslabShift),
                                                           kSuperslabSize) >= kSuperslabSize / 4 * 3;
  const auto [advice, bytes] =
      arena::g_fill.Ask(size, empty << kSuperslabShift, grows ? fresh.first << kSuperslabShift : 0);
  size_t left = PiecesFor(bytes);
  if (advice == Advice::kFilled && left == empty) return fresh;
  if (advice != Advice::kFilled && is_empty(fresh.first)) {
    // Does nothing while another witness is pending; what this one uses first costs little all the same.
    char* const start = block.base() + (fresh.first << kSuperslabShift);
    const size_t used = size - (fresh.first << kSuperslabShift);
    arena::g_fill.Watch(size, start, used < kSuperslabSize ? used : kSuperslabSize);
    ++fresh.first;
  }
  size_t end = fresh.first;
  for (; end < fresh.end; ++end) {
    if (!is_empty(end)) continue;
    if (left == 0) break;
    --left;
  }
  return {fresh.first, end};
}

// Huge pages for these pieces of the block, and for no others from the piece `from` on.
void SetHugePages(const HugeBlock& block, PieceRange pieces, size_t from = 0) {
  const auto at = [&block](size_t i) { return block.base() + (i << kSuperslabShift); };
  if (pieces.first < pieces.end) arena::SetHugePages(at(pieces.first), pieces.end - pieces.first, true);
  // A huge page from before would cost the end of the block more than it uses, unless it is there already.
  for (size_t i = from; i < block.pieces; ++i) {
    if (i >= pieces.first && i < pieces.end) continue;
    if (!arena::IsHuge(at(i))) continue;
    if (os::ResidentBytes(at(i), os::PageSize()) == 0) arena::SetHugePages(at(i), 1, false);
  }
}

// The pieces of a block that is none any more go to the page arena, its metadata to the spares.
void GiveUp(HugeBlock* block) {
  address_map::Remove(block->base(), block->pieces);
  arena::Release(block->base(), block->pieces);
  LockHolder hold(lock);
  GiveSpare(block);
}

// Keeps a block of `size` bytes that was just freed, in place of the one before, and counts it as gone; false, and
// nothing done, when it is too long for that or idle memory is not to be kept.
bool Keep(HugeBlock* block, size_t size, uint64_t now) {
  if (block->pieces > kMostKeptPieces || !InWindow(block->base())) return false;
  if (BytesOf(*block) > g_options.idle_keep || g_options.purge_delay_ms == 0) return false;
  HugeBlock* former;
  {
    LockHolder hold(lock);
    UncountRoom(*block);
    CountOut(size);
    former = kept;
    kept = block;
    // Under the lock, as everywhere: a fork finds what is kept and what is idle agree.
    g_idle.AddIdle(BytesOf(*block), now);
    if (former != nullptr) g_idle.RemoveIdle(BytesOf(*former));
  }
  if (former != nullptr) GiveUp(former);
  return true;
}

// Gives the kept block up, when there is one and it starts at `at`, or anywhere when that is nullptr. Whether it did.
bool GiveUpKept(const char* at) {
  HugeBlock* block;
  {
    LockHolder hold(lock);
    block = kept;
    if (block == nullptr || (at != nullptr && block->base() != at)) return false;
    kept = nullptr;
    g_idle.RemoveIdle(BytesOf(*block));
  }
  GiveUp(block);
  return true;
}

// Whether there can be no such block, whatever goes back before: one that is asked for does not cost the idle memory.
bool IsBeyondAll(size_t pieces, size_t alignment) {
  constexpr size_t kAddresses = size_t{1} << address_map::kAddressBits;
  if (pieces >= kAddresses >> kSuperslabShift || alignment >= kAddresses) return true;
  return g_options.memory_limit != 0 && pieces << kSuperslabShift > g_options.memory_limit;
}

// Pieces for a block; nullptr without memory, also when the pool has given up its idle superslabs.
char* AcquirePieces(size_t pieces, size_t alignment) {
  void* base = arena::Acquire(pieces, alignment);
  if (base == nullptr && pool::GiveUpIdleSuperslabs()) base = arena::Acquire(pieces, alignment);
  return static_cast<char*>(base);
}

// Takes the pieces behind the block, which may be those of the kept one.
bool ExtendInPlace(const HugeBlock& block, size_t more) {
  if (arena::ExtendInPlace(block.base(), block.pieces, more)) return true;
  return GiveUpKept(block.base() + BytesOf(block)) && arena::ExtendInPlace(block.base(), block.pieces, more);
}

// Makes the block `pieces` long where it is. False, and nothing done, when the pieces behind it cannot be had.
bool Extend(HugeBlock* block, size_t pieces) {
  if (!ExtendInPlace(*block, pieces - block->pieces)) return false;
  block->pieces = pieces;
  HAK_CHECK(address_map::Enter(block, pieces));  // in the window, as all that grows in place: needs no memory
  return true;
}

// Makes the block `pieces` long, for `size` bytes, somewhere else, with its pages. False, and nothing done, when that
// cannot be.
bool MovePages(HugeBlock* block, size_t pieces, size_t size) {
  // A move that fails may have unmapped its target, and addresses outside of the window the kernel gives to other
  // threads: what they map there in the meantime could not be told from what is ours. The caller copies.
  if (!InWindow(block->base())) return false;
  char* const to = AcquirePieces(pieces, kSuperslabSize);
  if (to == nullptr) return false;
  if (!InWindow(to)) {
    arena::Release(to, pieces);  // as above
    return false;
  }
  char* const from = block->base();
  const size_t had = block->pieces;
  // One kind of pages, so that it is one kernel area: mremap takes no more than one. Trust is given from the front, so
  // the last piece tells whether all of it was.
  arena::SetHugePages(from, had,
                      !arena::g_fill.SeemsSparse(size) && arena::IsHuge(from + ((had - 1) << kSuperslabShift)));
  // Entries in the window need no memory. The old ones go before the move: from then on the kernel may give these
  // addresses to another thread, which enters what it maps there.
  address_map::Remove(from, had);
  block->SetBase(to);
  HAK_CHECK(address_map::Enter(block, pieces));
  if (!gate::MoveOnto(from, had << kSuperslabShift, to, pieces << kSuperslabShift)) {
    address_map::Remove(to, pieces);
    block->SetBase(from);
    HAK_CHECK(address_map::Enter(block, had));
    // A move that failed may have unmapped its target before.
    arena::Discard(to, pieces);
    return false;
  }
  arena::g_fill.Follow(from, had << kSuperslabShift, to);
  arena::Moved(from, had, to, pieces);
  block->pieces = pieces;
  // Whatever its addresses were before.
  if (FilledPieces(size) < pieces) arena::SetHugePages(to + ((pieces - 1) << kSuperslabShift), 1, false);
  return true;
}

// The program may touch the first `size` bytes of the block's pieces.
void ExposeTo(const HugeBlock& block, size_t size) {
  Unpoison(block.base(), size);
  Poison(block.base() + size, (block.pieces << kSuperslabShift) - size);
}

// Gives a block of `old_size` bytes other pieces, with huge pages, for `size` bytes. False, and nothing done, without
// memory in the window.
bool CopyToHugePages(HugeBlock* block, size_t old_size, size_t size) {
  const size_t pieces = PiecesFor(size);
  char* const to = static_cast<char*>(arena::Acquire(pieces, kSuperslabSize));
  if (to == nullptr) return false;
  if (!InWindow(to)) {
    arena::Release(to, pieces);
    return false;
  }
  char* const from = block->base();
  const size_t had = block->pieces;
  block->SetBase(to);
  HAK_CHECK(address_map::Enter(block, pieces));  // in the window: needs no memory
  arena::SetHugePages(to, FilledPieces(size, true), true);
  Unpoison(to, old_size);
  memcpy(to, from, old_size);
  block->pieces = pieces;
  arena::g_fill.Leave(old_size, from, had << kSuperslabShift);
  address_map::Remove(from, had);
  Poison(from, had << kSuperslabShift);
  arena::ReleasePurged(from, had);
  return true;
}

// `p`, with which `where` was called, is no block that the program has, though it led to `block`, which may be another
// one by now.
void ReportNotHeld(const char* where, const void* p, const HugeBlock& block) {
  const size_t offset = static_cast<size_t>(static_cast<const char*>(p) - block.base());
  if (offset != 0 && offset < block.size.load(std::memory_order_relaxed)) {  // a look
    ReportFault(Fault::kInteriorPointer, where, p, "inside a huge block");
  } else {
    ReportFault(Fault::kDoubleFree, where, p, "a huge block");
  }
}

}  // namespace

void* Allocate(size_t size, size_t alignment, bool zero) {
  size = RoundToPages(size);
  if (IsBeyondAll(PiecesFor(size), alignment)) return nullptr;
  bool reused = !zero && alignment <= kSuperslabSize;
  HugeBlock* block = Begin(size, &reused);
  if (block == nullptr) return nullptr;
  if (reused) {
    if (!arena::g_fill.SeemsSparse(size)) arena::SetHugePages(block->base(), FilledPieces(size), true);
    ExposeTo(*block, size);
    // The block is ours alone, and the program takes it from thread to thread as it does with any.
    block->size.store(size, std::memory_order_relaxed);                 // Give publishes
    block->kind.store(Region::Kind::kHuge, std::memory_order_relaxed);  // as above
    block->held.Give(block->base());
    return block->base();
  }
  block->pieces = PiecesFor(size);
  block->SetBase(AcquirePieces(block->pieces, alignment < kSuperslabSize ? kSuperslabSize : alignment));
  if (block->base() == nullptr) {
    LockHolder hold(lock);
    GiveSpare(block);
    return nullptr;
  }
  ExposeTo(*block, size);
  // First: what goes back to the system for it comes in the pages that are asked for then.
  if (zero) Zero(block->base(), size);
  SetHugePages(*block, TrustedPieces(*block, size, {0, IsSparse(size, zero) ? 0 : FilledPieces(size)}));
  // Relaxed: Enter publishes.
  block->size.store(size, std::memory_order_relaxed);
  block->kind.store(Region::Kind::kHuge, std::memory_order_relaxed);  // as above
  if (!address_map::Enter(block, block->pieces)) {
    arena::Release(block->base(), block->pieces);
    LockHolder hold(lock);
    GiveSpare(block);
    return nullptr;
  }
  char* const base = block->base();
  block->held.Give(base);
  LockHolder hold(lock);
  CountIn(size);
  return base;
}

void* AllocateWithRoom(size_t size) {
  if (g_options.memory_limit != 0) return nullptr;
  {
    LockHolder hold(lock);
    if (with_room == kMostWithRoom) return nullptr;
    ++with_room;
  }
  void* p = Allocate(size, kSuperslabSize, false);
  LockHolder hold(lock);
  if (p == nullptr) {
    --with_room;
  } else {
    static_cast<HugeBlock*>(address_map::RegionOf(p))->has_room = true;
  }
  return p;
}

void Free(void* p, Region* region) {
  HugeBlock* block = static_cast<HugeBlock*>(region);
  if (HAK_UNLIKELY(!block->held.Take(static_cast<char*>(p)))) {
    ReportNotHeld("free", p, *block);
    return;
  }
  block->kind.store(Region::Kind::kNone, std::memory_order_relaxed);  // ours; reports look at it
  const size_t size = block->size.load(std::memory_order_relaxed);    // ours
  arena::g_fill.Leave(size, block->base(), BytesOf(*block));
  Poison(block->base(), BytesOf(*block));
  const uint64_t now = os::NowMs();
  if (Keep(block, size, now)) {
    // A look for each free would cost as much as the rest, where more lies idle than is to be kept: one each time the
    // coarse clock ticks, or when a good deal has come to what lay idle then. Guesses.
    static constinit std::atomic<uint64_t> looked{0};
    static constinit std::atomic<size_t> looked_at{0};
    const size_t idle = g_idle.idle();
    const size_t keep = g_options.idle_keep;
    if (idle > keep && (looked.load(std::memory_order_relaxed) != now ||                 // as above
                        idle > looked_at.load(std::memory_order_relaxed) + keep / 4)) {  // as above
      looked.store(now, std::memory_order_relaxed);                                      // as above
      pool::Balance();
      looked_at.store(g_idle.idle(), std::memory_order_relaxed);  // as above
    }
    return;
  }
  address_map::Remove(block->base(), block->pieces);
  arena::Release(block->base(), block->pieces);
  {
    LockHolder hold(lock);
    UncountRoom(*block);
    CountOut(size);
    GiveSpare(block);
  }
  pool::Balance();
}

size_t KeptBytes() {
  LockHolder hold(lock);
  return kept != nullptr ? BytesOf(*kept) : 0;
}

void ReleaseKept() { (void)GiveUpKept(nullptr); }

bool IsHeld(const Region* region, const void* p) {
  return static_cast<const HugeBlock*>(region)->held.Is(static_cast<const char*>(p));
}

bool HasRoom(const Region* region) {
  return static_cast<const HugeBlock*>(region)->has_room;  // the caller's own block
}

size_t UsableSize(const Region* region) {
  return static_cast<const HugeBlock*>(region)->size.load(std::memory_order_relaxed);  // the caller's own block
}

namespace {

// A block that is being resized is none: of a free and a realloc of it at once one is reported, as of two frees.
class Resizing {
 public:
  Resizing(HugeBlock& block, void* p) : block_(block), ours_(block.held.Take(static_cast<char*>(p))) {}
  ~Resizing() {
    if (ours_) block_.held.Give(block_.base());
  }
  Resizing(const Resizing&) = delete;
  Resizing& operator=(const Resizing&) = delete;

  bool ours() const { return ours_; }

 private:
  HugeBlock& block_;
  const bool ours_;
};

}  // namespace

void* Resize(void* p, Region* region, size_t size) {
  HugeBlock* block = static_cast<HugeBlock*>(region);
  const Resizing resizing(*block, p);
  if (HAK_UNLIKELY(!resizing.ours())) {
    ReportNotHeld("realloc", p, *block);
    return nullptr;
  }
  const size_t old_size = block->size.load(std::memory_order_relaxed);  // the caller's own block
  size = RoundToPages(size);
  const size_t pieces = PiecesFor(size);
  if (IsBeyondAll(pieces, kSuperslabSize)) return nullptr;
  const size_t had = block->pieces;
  bool by_moving = false;
  if (IsBetterCopied(*block, old_size, size) && CopyToHugePages(block, old_size, size)) {
    by_moving = true;
  } else if (pieces <= block->pieces) {
    if (pieces < block->pieces) {
      char* tail = block->base() + (pieces << kSuperslabShift);
      const size_t count = block->pieces - pieces;
      arena::g_fill.Leave(old_size, tail, count << kSuperslabShift);
      address_map::Remove(tail, count);
      block->pieces = pieces;
      Poison(tail, count << kSuperslabShift);
      arena::Release(tail, count);
    }
  } else if (!Extend(block, pieces)) {
    by_moving = MovePages(block, pieces, size);
    // Without memory for other pieces what was idle has gone, and that may be enough for those behind the block.
    if (!by_moving && !Extend(block, pieces)) return nullptr;
  }
  if (size > old_size) {
    const size_t first = PiecesFor(old_size);
    const size_t filled = FilledPieces(size, true);
    PieceRange grown = TrustedPieces(*block, size, {first, filled});
    // The block may fill the piece that it has begun, too.
    const bool trusted = filled > first ? grown.first == first && grown.end > first : !arena::g_fill.SeemsSparse(size);
    if (trusted) grown.first = old_size >> kSuperslabShift;
    // What it had may be there already.
    SetHugePages(*block, grown, first);
  }
  // A shrink gives huge pages to nothing: what has them has been trusted.
  if (size < old_size) SetHugePages(*block, {0, 0}, FilledPieces(size));
  ExposeTo(*block, size);
  block->size.store(size, std::memory_order_relaxed);  // the caller's own block
  {
    LockHolder hold(lock);
    (by_moving ? moved : in_place).Add(1);
    if (size > kMaxClassed) UncountRoom(*block);
    AddBytes(size - old_size);
  }
  if (pieces < had) pool::Balance();
  return block->base();
}

Statistics GetStatistics() {
  return {blocks_now.value(), g_idle.own_pieces(), allocated.value(), in_place.value(), moved.value()};
}

Lock& SpareLock() { return lock; }

}  // namespace hakmem::huge
