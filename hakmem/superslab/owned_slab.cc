#include "hakmem/superslab/owned_slab.h"

#include "hakmem/diag/check.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/superslab/slab_event.h"

namespace hakmem {

using ring::Event;

namespace {

uint32_t TagFor(const Claimant& who, unsigned size_class) {
  // Classes without lists, and heaps outside the window, have no tag: their blocks go the slow way.
  if (who.step_tag == address_map::kNoTag || size_class > kMaxListedClass) return address_map::kNoTag;
  if (size_class <= kSteppedClasses) return who.step_tag + size_class * kTagStep;
  return who.wide_tag + (size_class - kSteppedClasses - 1) * kTagStep;
}

uint16_t HeadOf(const Slab& slab, const Block* block) {
  return static_cast<uint16_t>(static_cast<size_t>(reinterpret_cast<const char*>(block) - slab.base()) / kMinBlock);
}

Block* BlockOfHead(const Slab& slab, const RemoteState& state) {
  return state.count == 0 ? nullptr : reinterpret_cast<Block*>(slab.base() + size_t{state.head} * kMinBlock);
}

}  // namespace

Block* OwnedSlab::BlockAt(uint32_t i) const {
  return reinterpret_cast<Block*>(slab_->base_ + size_t{i} * slab_->block_size());
}

uint32_t OwnedSlab::IndexOf(const Block* block) const {
  return slab_->geometry().IndexOf(static_cast<size_t>(reinterpret_cast<const char*>(block) - slab_->base_));
}

std::optional<OwnedSlab> OwnedSlab::ClaimOthers(Slab& slab, const Claimant& who) {
  if (slab.owner() != kNoHeap || !slab.remote_.Claim(who.id)) {
    ring::Note(Event::kClaimRefused, slab, nullptr, slab.owner());
    return std::nullopt;
  }
  address_map::SetTags(slab, TagFor(who, slab.size_class()));
  ring::Note(Event::kClaim, slab);
  return OwnedSlab(slab, who);
}

OwnedSlab OwnedSlab::SetUp(Slab& slab, const Claimant& who, unsigned size_class, bool clean) {
  HAK_ASSERT(slab.owner() == kRetired);
  slab.size_class_.store(static_cast<uint8_t>(size_class),
                         std::memory_order_relaxed);  // others learn of the slab by its blocks
  slab.free_ = nullptr;
  slab.free_count_ = 0;
  slab.carved_ = 0;
  slab.purged_blocks_ = 0;
  slab.clean_ = clean;
  slab.handed_out_ = false;
  slab.freed_ = false;
  slab.place = Slab::Place::kNowhere;
  slab.given_up_by.store(kNoHeap, std::memory_order_relaxed);  // a hint
  slab.prev = slab.next = nullptr;
  Superslab& superslab = *slab.superslab_;
  const unsigned span = kSizeClasses[size_class].span;
  for (unsigned i = 0; i < span; ++i) {
    superslab.head_delta[slab.index_ + i] = static_cast<uint8_t>(i);
    superslab.purged_pages[slab.index_ + i] = 0;
  }
  slab.remote_.Reset(who.id);
  address_map::SetTags(slab, TagFor(who, size_class));
  ring::Note(Event::kSetUp, slab);
  return OwnedSlab(slab, who);
}

std::optional<OwnedSlab> OwnedSlab::PushRemote(Slab& slab, const Chain& chain, const Claimant& who, HeapId* notify) {
  const PushResult result =
      slab.remote_.Push(HeadOf(slab, chain.first), static_cast<uint16_t>(chain.count), who.id,
                        [&](const RemoteState& old) { SetNext(chain.last, BlockOfHead(slab, old)); });
  *notify = kNoHeap;
  ring::Note(Event::kRemotePush, slab, chain.first, chain.count);
  switch (result.outcome) {
    case PushOutcome::kClaimed:
      address_map::SetTags(slab, TagFor(who, slab.size_class()));
      ring::Note(Event::kClaim, slab);
      return OwnedSlab(slab, who);
    case PushOutcome::kNotify: *notify = result.owner; break;
    case PushOutcome::kQueued: break;
    case PushOutcome::kRefused:
      ReportFault(Fault::kDoubleFree, "free", chain.first, "its slab is not in use any more");
      break;
  }
  return std::nullopt;
}

uint32_t OwnedSlab::Drain() {
  AssertOwned("drain");
  HAK_ASSERT(slab_->free_count_ == 0);
  return TakeOver(slab_->remote_.Drain());
}

uint32_t OwnedSlab::Acknowledge() {
  AssertOwned("acknowledgement");
  const bool take = slab_->free_count_ == 0;
  const RemoteState state = slab_->remote_.Acknowledge(take);
  HAK_ASSERT(state.notified);
  return take ? TakeOver(state) : 0;
}

// Makes what a drain took the slab's own list, which is empty. Its length.
uint32_t OwnedSlab::TakeOver(const RemoteState& drained) {
  slab_->free_ = BlockOfHead(*slab_, drained);
  slab_->free_count_ = drained.count;
  slab_->freed_ = true;
  ring::Note(Event::kDrain, *slab_, slab_->free_, drained.count);
  return drained.count;
}

void OwnedSlab::ReportTooManyFree(const Chain& chain) {
  ReportFault(Fault::kDoubleFree, "free", chain.first, "its slab has more free blocks than were ever handed out");
}

Chain OwnedSlab::Carve(uint32_t most, bool* clean, unsigned pages) {
  AssertOwned("carve");
  *clean = false;
  if (slab_->carved_ == slab_->geometry().capacity) return Recarve(most);
  *clean = slab_->clean_;
  const uint32_t size = slab_->geometry().block_size;
  // Up to a page border, so that no page is touched before a block in it is needed.
  const size_t start = size_t{slab_->carved_} * size;
  const size_t border = (start + (size_t{pages} << kPageShift)) & ~((size_t{1} << kPageShift) - 1);
  uint32_t count = static_cast<uint32_t>((border - start) / size);
  if (count > slab_->geometry().capacity - slab_->carved_) count = slab_->geometry().capacity - slab_->carved_;
  if (count > most) count = most;
  if (count == 0) count = 1;
  Block* const first = BlockAt(slab_->carved_);
  Block* last = first;
  for (uint32_t i = 1; i < count; ++i) {
    Block* next = reinterpret_cast<Block*>(reinterpret_cast<char*>(last) + size);
    SetNext(last, next);
    last = next;
  }
  SetNext(last, nullptr);
  slab_->carved_ += count;
  return {first, last, count};
}

// Blocks that start in the first page that was given back. The page is in use again as a whole: those beyond `most` are
// free blocks from here on.
Chain OwnedSlab::Recarve(uint32_t most) {
  Chain chain;
  Superslab& superslab = *slab_->superslab_;
  const size_t span = slab_->span();
  for (size_t s = 0; s < span && slab_->purged_blocks_ != 0; ++s) {
    uint16_t& bits = superslab.purged_pages[slab_->index_ + s];
    while (bits != 0 && chain.count == 0) {
      const unsigned page = static_cast<unsigned>(__builtin_ctz(bits));
      bits = static_cast<uint16_t>(bits & (bits - 1));
      const size_t start = (s * kPagesPerSlab + page) << kPageShift;
      const size_t size = slab_->block_size();
      for (size_t i = (start + size - 1) / size; i * size < start + (size_t{1} << kPageShift) && i < slab_->carved_;
           ++i) {
        chain.PushFront(BlockAt(static_cast<uint32_t>(i)));
        // Pages in the middle of the block come back to life with it. One in which another block starts stays as it is.
        for (size_t inner = (start >> kPageShift) + 1; (inner << kPageShift) < (i + 1) * size; ++inner) {
          const size_t next = ((inner << kPageShift) + size - 1) / size * size;
          if (next < (inner + 1) << kPageShift) continue;
          superslab.purged_pages[slab_->index_ + inner / kPagesPerSlab] &=
              static_cast<uint16_t>(~(1u << (inner % kPagesPerSlab)));
        }
      }
    }
    if (chain.count != 0) break;
  }
  slab_->handed_out_ = true;
  HAK_ASSERT(chain.count <= slab_->purged_blocks_);
  slab_->purged_blocks_ -= chain.count;
  Chain rest;
  while (chain.count > most) {
    Block* block = chain.first;
    chain.first = NextOf(block);
    --chain.count;
    rest.PushFront(block);
  }
  if (rest.count != 0) Push(rest);
  return chain;
}

bool OwnedSlab::Release() {
  AssertOwned("release");
  HAK_ASSERT(slab_->place == Slab::Place::kNowhere);
  // The tag goes first: once the slab is released somebody else's tag may stand there.
  const uint32_t tag = address_map::TagOfSlab(*slab_);
  address_map::SetTags(*slab_, address_map::kNoTag);
  // Before it is true: the slab may have another life by the time it is written down.
  ring::Note(Event::kRelease, *slab_);
  if (slab_->remote_.Release()) return true;
  address_map::SetTags(*slab_, tag);
  return false;
}

bool OwnedSlab::Retire() {
  AssertOwned("retirement");
  const RemoteState state = slab_->PeekRemote();
  if (slab_->carved_ - slab_->purged_blocks_ - slab_->free_count_ != state.count) return false;
  // The tags go first, for the same reason as in Release.
  const uint32_t tag = address_map::TagOfSlab(*slab_);
  address_map::SetTags(*slab_, address_map::kNoTag);
  if (!slab_->remote_.Retire(state.owner, state.count)) {
    address_map::SetTags(*slab_, tag);
    return false;
  }
  slab_->free_ = nullptr;
  slab_->free_count_ = 0;
  ring::Note(Event::kRetire, *slab_);
  return true;
}

}  // namespace hakmem
