// Ownership of a slab, as a type.
//
// A slab has one owner, a heap, or none. Its free list and counters may be touched by the owner alone, and the only way
// to touch them is an OwnedSlab: it comes from a successful claim (or from setting up a slab that nobody else can
// reach, or from a push that claimed) and from nothing else, it cannot be copied, and it alone can drain, push, pop,
// carve and release. Code that wants to drain a slab which it does not own does not compile.
//
// A token is the right to touch, not the ownership itself: dropping it leaves the heap the owner, and a claim of a slab
// that the heap owns already succeeds at the price of a load. Release ends both.
//
// Not thread-safe: a token stays with the thread that drives its heap.
#ifndef HAKMEM_SUPERSLAB_OWNED_SLAB_H_
#define HAKMEM_SUPERSLAB_OWNED_SLAB_H_

#include <cstdint>
#include <optional>

#include "hakmem/superslab/ownership.h"
#include "hakmem/superslab/slab.h"

namespace hakmem {

// Who claims: the heap's id, and the tags under which the address map finds the heap's free lists: of class 0, whence
// those of the 16-byte steps follow at distances of kTagStep, and of the class behind the steps, whence the others
// follow.
struct Claimant {
  HeapId id;
  uint32_t step_tag;
  uint32_t wide_tag;
  [[no_unique_address]] HeapDriver driver = {};
};
inline constexpr uint32_t kTagStep = 2;

class [[nodiscard]] OwnedSlab {
 public:
  // The token for `slab` when its owner is `who` already or nobody; nothing when it is somebody else's.
  [[nodiscard]] static std::optional<OwnedSlab> Claim(Slab& slab, const Claimant& who) {
    ownership::CheckClaimant(slab, TokenHolder(who.id, who.driver));
    // Only the heap itself makes or ends its ownership, so this look is enough.
    if (HAK_LIKELY(slab.owner() == who.id)) return OwnedSlab(slab, who);
    return ClaimOthers(slab, who);
  }

  // Sets up a slab whose slot the caller has just made ACTIVE, for blocks of `size_class`: the one place where a slab
  // gets its geometry. `clean` tells that its memory reads as zero.
  [[nodiscard]] static OwnedSlab SetUp(Slab& slab, const Claimant& who, unsigned size_class, bool clean);

  // Pushes blocks that the caller may not put on the slab's own list, because it does not own the slab. A token comes
  // back when nobody owned it: the slab is `who`'s now. Otherwise `*notify` tells whom to notify: the slab must then be
  // put into that heap's inbox; kNoHeap: nothing to do.
  [[nodiscard]] static std::optional<OwnedSlab> PushRemote(Slab& slab, const Chain& chain, const Claimant& who,
                                                           HeapId* notify);

  OwnedSlab(OwnedSlab&& other) noexcept : slab_(other.slab_), holder_(other.holder_) { other.slab_ = nullptr; }
  OwnedSlab& operator=(OwnedSlab&&) = delete;
  OwnedSlab(const OwnedSlab&) = delete;
  OwnedSlab& operator=(const OwnedSlab&) = delete;

  Slab& slab() const { return *slab_; }

  // Takes the remotely freed blocks whole and makes them the slab's own list, which must be empty. Their number.
  uint32_t Drain();

  // Puts blocks of this slab on its own list.
  void Push(const Chain& chain) {
    AssertOwned("push");
    const uint32_t in_use = slab_->carved_ - slab_->purged_blocks_;
    if (HAK_UNLIKELY(slab_->free_count_ + chain.count > in_use)) return ReportTooManyFree(chain);
    SetNext(chain.last, slab_->free_);
    slab_->free_ = chain.first;
    slab_->free_count_ += chain.count;
    slab_->freed_ = true;
  }

  // Takes the own list whole. An empty chain when there is none; `last` is not known.
  [[nodiscard]] Chain Pop() {
    AssertOwned("pop");
    const Chain chain = {slab_->free_, nullptr, slab_->free_count_};
    slab_->free_ = nullptr;
    slab_->free_count_ = 0;
    slab_->handed_out_ = true;
    return chain;
  }

  // Takes one block of the own list, nullptr when there is none.
  [[nodiscard]] Block* PopOne() {
    AssertOwned("pop");
    Block* block = slab_->free_;
    if (block == nullptr) return nullptr;
    --slab_->free_count_;
    slab_->handed_out_ = true;
    slab_->free_ = slab_->free_count_ == 0 ? nullptr : NextOf(block);
    return block;
  }

  // Makes blocks that were never handed out: up to `pages` pages of them, but not more than `most` (1 at least), and
  // one at least while there are any. What else has to be made with them goes on the slab's own list. `*clean` tells
  // that they read as zero but for their links.
  [[nodiscard]] Chain Carve(uint32_t most, bool* clean, unsigned pages = 1);
  // Whether memory that was never handed out was never touched either, since the system gave it.
  bool IsClean() const { return slab_->clean_; }
  // How many blocks were made.
  uint32_t carved() const { return slab_->carved_; }

  bool HasFree() const { return slab_->free_count_ != 0; }
  bool HasUncarved() const { return slab_->carved_ < slab_->geometry().capacity || slab_->purged_blocks_ != 0; }
  // Whether a drain would bring anything.
  bool HasRemote() const { return slab_->PeekRemote().count != 0; }
  // Whether every block was handed out and none has been home and left again since. A slab is full so once in its life,
  // and once more at the most after its free pages went back.
  bool IsFirstFull() const { return !HasUncarved() && !HasFree() && !slab_->handed_out_; }
  const Block* first_free() const { return slab_->free_; }

  // Blocks with the program or in lists of heaps.
  uint32_t used() const {
    return slab_->carved_ - slab_->purged_blocks_ - slab_->free_count_ - slab_->PeekRemote().count;
  }
  bool IsHome() const { return used() == 0; }

  // The owner has just taken the slab out of its inbox: the next push notifies anew. Drains as well when the slab's own
  // list is empty, at no further cost. The number of blocks drained.
  uint32_t Acknowledge();

  // Gives up ownership; the slab may be claimed by anybody from then on. False, and nothing changed, while a
  // notification is on its way.
  [[nodiscard]] bool Release();

  // Ends the slab's life when all its blocks are home; its slot may then be made EMPTY. False, and nothing changed,
  // when blocks are out or a notification is on its way.
  [[nodiscard]] bool Retire();

  // Gives the pages that hold no block in use back to the system; blocks that start in them become uncarved. Drains
  // first. Bytes given back. Nothing to do, and nothing done, when no block has come home since the last time.
  size_t PurgeFreePages();

 private:
#if !defined(HAKMEM_BUILD_RELEASE)
  friend class SeededFaults;  // tests: makes tokens that were not earned, see tiny/seeded_faults.h
#endif

  OwnedSlab(Slab& slab, const Claimant& who) : slab_(&slab), holder_(who.id, who.driver) {}
  void AssertOwned(const char* what) const { ownership::Check(*slab_, holder_, what); }
  [[nodiscard]] static std::optional<OwnedSlab> ClaimOthers(Slab& slab, const Claimant& who);
  HAK_COLD static void ReportTooManyFree(const Chain& chain);
  Block* BlockAt(uint32_t i) const;
  uint32_t IndexOf(const Block* block) const;
  Chain Recarve(uint32_t most);
  uint32_t TakeOver(const RemoteState& drained);

  Slab* slab_;
  [[no_unique_address]] TokenHolder holder_;
};
static_assert(kCheckOwnership || sizeof(OwnedSlab) == sizeof(Slab*));

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_OWNED_SLAB_H_
