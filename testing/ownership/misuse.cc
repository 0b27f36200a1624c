// Code that must not compile: each case touches a slab without owning it, or does not look whether a claim succeeded.
// misuse_test.sh compiles one case at a time. The words behind "expect:" have to stand in the compiler's message. A
// case that expects nothing is the control: the same calls as they should be.
#include <optional>
#include <utility>

#include "hakmem/superslab/owned_slab.h"

namespace hakmem {

// What every case has to hand: a slab, and who asks.
uint32_t Use(Slab& slab, const Claimant& who, const Chain& chain) {
  HeapId notify;
  bool clean;
#if defined(CASE_CLAIMED_FIRST)  // expect:
  std::optional<OwnedSlab> owned = OwnedSlab::Claim(slab, who);
  if (!owned) return 0;
  const uint32_t drained = owned->Drain();
  const Chain popped = owned->Pop();
  owned->Push(popped);
  if (owned->PopOne() != nullptr || owned->Carve(1, &clean).count != 0) return 1;
  if (OwnedSlab moved = std::move(*owned); !moved.Release()) return 0;
  if (auto pushed = OwnedSlab::PushRemote(slab, chain, who, &notify)) return pushed->used();
  return drained;

#elif defined(CASE_DRAIN_OF_A_SLAB)  // expect: no member named 'Drain' in 'hakmem::Slab'
  return slab.Drain();
#elif defined(CASE_PUSH_TO_A_SLAB)   // expect: no member named 'Push' in 'hakmem::Slab'
  slab.Push(chain);
#elif defined(CASE_POP_OF_A_SLAB)    // expect: no member named 'Pop' in 'hakmem::Slab'
  return slab.Pop().count;
#elif defined(CASE_CARVE_OF_A_SLAB)  // expect: no member named 'Carve' in 'hakmem::Slab'
  return slab.Carve(1, &clean).count;
#elif defined(CASE_REMOTE_WORD)      // expect: 'remote_' is a private member of 'hakmem::Slab'
  return slab.remote_.Drain().count;
#elif defined(CASE_FREE_LIST)        // expect: 'free_' is a private member of 'hakmem::Slab'
  slab.free_ = chain.first;
#elif defined(CASE_FREE_COUNT)       // expect: 'free_count_' is a private member of 'hakmem::Slab'
  return slab.free_count_;

#elif defined(CASE_MADE_UP)           // expect: calling a private constructor of class 'hakmem::OwnedSlab'
  OwnedSlab owned(slab, who);
  return owned.Drain();
#elif defined(CASE_DEFAULT)           // expect: no matching constructor for initialization of 'OwnedSlab'
  OwnedSlab owned;
  return owned.Drain();
#elif defined(CASE_STATIC_CALL)       // expect: call to non-static member function without an object argument
  return OwnedSlab::Drain();
#elif defined(CASE_DRAIN_OF_A_CLAIM)  // expect: no member named 'Drain' in 'std::optional<hakmem::OwnedSlab>'
  return OwnedSlab::Claim(slab, who).Drain();
#elif defined(CASE_CLAIM_AS_TOKEN)    // expect: no viable conversion from 'std::optional<OwnedSlab>' to 'OwnedSlab'
  OwnedSlab owned = OwnedSlab::Claim(slab, who);
  return owned.Drain();

#elif defined(CASE_COPY)          // expect: call to deleted constructor of 'OwnedSlab'
  if (auto owned = OwnedSlab::Claim(slab, who)) {
    OwnedSlab copy = *owned;
    return copy.Drain();
  }
#elif defined(CASE_COPY_ASSIGN)   // expect: overload resolution selected deleted operator '='
  auto owned = OwnedSlab::Claim(slab, who);
  auto other = OwnedSlab::Claim(slab, who);
  if (owned && other) *owned = *other;
#elif defined(CASE_MOVE_ASSIGN)   // expect: overload resolution selected deleted operator '='
  auto owned = OwnedSlab::Claim(slab, who);
  auto other = OwnedSlab::Claim(slab, who);
  if (owned && other) *owned = std::move(*other);
#elif defined(CASE_COPIED_CLAIM)  // expect: call to implicitly-deleted copy constructor of 'std::optional<OwnedSlab>'
  auto owned = OwnedSlab::Claim(slab, who);
  auto copy = owned;
  return copy->Drain();

#elif defined(CASE_CLAIM_IGNORED)        // expect: ignoring return value of
  OwnedSlab::Claim(slab, who);
#elif defined(CASE_SET_UP_IGNORED)       // expect: ignoring return value of
  OwnedSlab::SetUp(slab, who, 1, true);
#elif defined(CASE_REMOTE_PUSH_IGNORED)  // expect: ignoring return value of
  OwnedSlab::PushRemote(slab, chain, who, &notify);
#elif defined(CASE_RELEASE_IGNORED)      // expect: ignoring return value of
  if (auto owned = OwnedSlab::Claim(slab, who)) owned->Release();
#elif defined(CASE_POP_IGNORED)          // expect: ignoring return value of
  if (auto owned = OwnedSlab::Claim(slab, who)) owned->Pop();
#elif defined(CASE_WORD_CLAIM_IGNORED)   // expect: ignoring return value of
  RemoteWord word;
  word.Claim(who.id);
#endif
  static_cast<void>(slab), static_cast<void>(who), static_cast<void>(chain);
  static_cast<void>(notify), static_cast<void>(clean);
  return 0;
}

}  // namespace hakmem
