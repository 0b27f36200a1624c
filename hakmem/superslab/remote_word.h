// The remote word of a slab: who owns the slab, and the blocks that others have freed into it.
//
// One 64-bit atomic word holds all of it, so that a push can claim an unowned slab, and a claim can see what was
// pushed, in one atomic operation:
//
//     bits  0-15  head      offset of the first remotely freed block from the slab's base, in units of 16 bytes
//     bits 16-31  count     remotely freed blocks; 0: none, head means nothing
//     bits 32-55  owner     id of the owning heap; 0: nobody; all ones: the slab is not in use
//     bit  56     notified  the slab is in the owner's inbox, or a pusher is about to put it there
//
// Transitions, each one atomic operation:
//
//     push     any thread  head and count grow; an unowned slab becomes the pusher's heap's; an owned slab becomes
//                          notified, and who set the bit puts the slab into the owner's inbox
//     claim    any thread  owner 0 -> id; fails when there is an owner
//     drain    the owner   takes head and count whole
//     acknowledge  ditto   clears notified once the owner has taken the slab out of its inbox; may drain as well
//     release  the owner   owner id -> 0; refused while a notification is on its way
//     retire   the owner   all blocks are home: owner id -> not in use; refused likewise
//     reset    who took the slot of a slab that is not in use: owner -> id
//
// The list is only pushed to and taken whole: nothing pops a single block, so there is no ABA. The links between the
// blocks are plain words written before the push.
//
// The class is a template over its atomic so that a test can put a scheduler underneath.
#ifndef HAKMEM_SUPERSLAB_REMOTE_WORD_H_
#define HAKMEM_SUPERSLAB_REMOTE_WORD_H_

#include <atomic>
#include <cstdint>

namespace hakmem {

using HeapId = uint32_t;
inline constexpr HeapId kNoHeap = 0;
// Stands in the word of a slab that is not in use: it can be neither claimed nor pushed to.
inline constexpr HeapId kRetired = (1u << 24) - 1;
inline constexpr HeapId kMaxHeapId = kRetired - 1;

struct RemoteState {
  uint16_t head = 0;
  uint16_t count = 0;
  HeapId owner = kNoHeap;
  bool notified = false;

  static constexpr RemoteState Unpack(uint64_t word) {
    return {static_cast<uint16_t>(word), static_cast<uint16_t>(word >> 16),
            static_cast<HeapId>((word >> 32) & kRetired), ((word >> 56) & 1) != 0};
  }
  constexpr uint64_t Pack() const {
    return uint64_t{head} | uint64_t{count} << 16 | uint64_t{owner} << 32 | uint64_t{notified} << 56;
  }
};

enum class PushOutcome : uint8_t {
  kQueued,   // the owner knows that there is something, or will hear it from another pusher
  kNotify,   // the caller has to put the slab into the inbox of the owner
  kClaimed,  // nobody owned the slab: the caller's heap does now
  kRefused,  // the slab is not in use: what was freed is no block
};

struct PushResult {
  PushOutcome outcome;
  HeapId owner;  // of the slab after the push
};

template <template <class> class Atomic = std::atomic>
class BasicRemoteWord {
 public:
  // A look, for deciding what to try; whatever follows from it is checked by the transition itself.
  RemoteState Peek() const {
    return RemoteState::Unpack(word_.load(std::memory_order_relaxed));  // a look: the transitions order
  }

  // Starts the life of a slab that nobody else can reach: no block of it was ever handed out.
  void Reset(HeapId owner) {
    // Relaxed: nobody learns of the slab by this word. Who has a block of it got the block from the program, and who
    // claims it later acquires what its owner releases.
    word_.store(RemoteState{0, 0, owner, false}.Pack(), std::memory_order_relaxed);
  }

  // Adds `count` linked blocks, the first at offset `head`. `link_last(state)` is called before each attempt, and links
  // the chain's last block to the list that is there. `pusher` becomes owner when nobody is; with kNoHeap the slab
  // stays without owner.
  template <class LinkLast>
  PushResult Push(uint16_t head, uint16_t count, HeapId pusher, LinkLast link_last) {
    uint64_t seen = word_.load(std::memory_order_relaxed);  // a look: the exchange decides
    for (;;) {
      const RemoteState old = RemoteState::Unpack(seen);
      if (old.owner == kRetired) return {PushOutcome::kRefused, kNoHeap};
      link_last(old);
      const bool unowned = old.owner == kNoHeap;
      const RemoteState next = {head, static_cast<uint16_t>(old.count + count), unowned ? pusher : old.owner, !unowned};
      // Release: the links in the blocks are visible to the owner that drains. Acquire: a push that claims sees what
      // the last owner left in the slab.
      if (word_.compare_exchange_weak(seen, next.Pack(), std::memory_order_acq_rel, std::memory_order_relaxed)) {
        if (unowned) return {pusher == kNoHeap ? PushOutcome::kQueued : PushOutcome::kClaimed, pusher};
        return {old.notified ? PushOutcome::kQueued : PushOutcome::kNotify, old.owner};
      }
    }
  }

  // Makes `claimant` the owner of an unowned slab. False when somebody is.
  [[nodiscard]] bool Claim(HeapId claimant) {
    uint64_t seen = word_.load(std::memory_order_relaxed);  // a look: the exchange decides
    for (;;) {
      RemoteState state = RemoteState::Unpack(seen);
      if (state.owner != kNoHeap) return false;
      state.owner = claimant;
      // Acquire: sees what the last owner left in the slab (its release). The blocks pushed meanwhile are read only
      // after a drain, which acquires for itself. Release: who pushes and finds us looks us up in the heap table, where
      // a heap that was just made has to be found.
      if (word_.compare_exchange_weak(seen, state.Pack(), std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return true;
      }
    }
  }

  // The owner takes all blocks. A notification that is on its way stays so.
  RemoteState Drain() {
    uint64_t seen = word_.load(std::memory_order_relaxed);  // a look: the exchange decides
    for (;;) {
      const RemoteState old = RemoteState::Unpack(seen);
      const RemoteState next = {0, 0, old.owner, old.notified};
      // Acquire: the links that the pushers wrote are visible. Nothing of ours is published: relaxed on that side.
      if (word_.compare_exchange_weak(seen, next.Pack(), std::memory_order_acquire, std::memory_order_relaxed)) {
        return old;
      }
    }
  }

  // The owner has taken the slab out of its inbox: the next push notifies anew. With `take` it takes all blocks, too;
  // the state says what was there.
  RemoteState Acknowledge(bool take) {
    uint64_t seen = word_.load(std::memory_order_relaxed);  // a look: the exchange decides
    for (;;) {
      const RemoteState old = RemoteState::Unpack(seen);
      const RemoteState next =
          take ? RemoteState{0, 0, old.owner, false} : RemoteState{old.head, old.count, old.owner, false};
      // Release: we have read the slab's link in the inbox before the next notifier writes it. Acquire: as in Drain.
      if (word_.compare_exchange_weak(seen, next.Pack(), std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return old;
      }
    }
  }

  // The owner gives the slab up, with the blocks that wait in it. Refused (false) while a notification is on its way
  // that the owner has not seen.
  [[nodiscard]] bool Release() {
    uint64_t seen = word_.load(std::memory_order_relaxed);  // a look: the exchange decides
    for (;;) {
      RemoteState state = RemoteState::Unpack(seen);
      if (state.notified) return false;
      state.owner = kNoHeap;
      // Release: what the owner wrote into the slab is visible to the next owner.
      if (word_.compare_exchange_weak(seen, state.Pack(), std::memory_order_release, std::memory_order_relaxed)) {
        return true;
      }
    }
  }

  // The owner ends the slab's life when all of its blocks are home: `expected` remotely freed ones among them. False
  // when there are others after all, or a notification is on its way.
  [[nodiscard]] bool Retire(HeapId owner, uint16_t expected) {
    uint64_t seen = word_.load(std::memory_order_relaxed);  // a look: the exchange decides
    const RemoteState state = RemoteState::Unpack(seen);
    if (state.owner != owner || state.count != expected || state.notified) return false;
    // Relaxed: the owner has acquired every push by the transition that made it owner, a drain or an acknowledgement;
    // any later one has set the notified bit. The slot's transition publishes the end.
    return word_.compare_exchange_strong(seen, RemoteState{0, 0, kRetired, false}.Pack(), std::memory_order_relaxed,
                                         std::memory_order_relaxed);
  }

 private:
  Atomic<uint64_t> word_{RemoteState{0, 0, kRetired, false}.Pack()};
};

using RemoteWord = BasicRemoteWord<>;

}  // namespace hakmem

#endif  // HAKMEM_SUPERSLAB_REMOTE_WORD_H_
