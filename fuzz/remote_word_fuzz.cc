// The remote word and ownership alone: one slab, no heap, no pool.
//
// The first byte chooses. Even: one thread plays several heaps, and after each step a model says where every block is
// and what the word, the counters and the tags must be. Odd: three threads at once, each with its share of the input;
// at the end each block is found exactly once.

#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "fuzz/input.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/superslab/owned_slab.h"

namespace hakmem {
namespace {

// Classes of 16 bytes to a block of several slabs.
constexpr unsigned kTriedClasses[] = {1, 2, 7, 18, 60, 64, 65, 72, 80, 88, 100, 104, 105, 120, 136, kClasses - 1};

Superslab superslab;

// Tags are any numbers here: nothing is freed through them.
Claimant Heap(size_t i) {
  static constexpr HeapId kIds[] = {1, 2, kMaxHeapId};
  const uint32_t tag = static_cast<uint32_t>(1000 * (i + 1));
  return {kIds[i], tag, tag + 500};
}
constexpr size_t kHeaps = 3;

Slab& TheSlab() {
  static const bool ready = [] {
    gate::OpenWindow(true);
    FUZZ_CHECK(HasWindow());
    return gate::Commit(WindowAddress(kFirstSuperslab), kSuperslabSize) == gate::Outcome::kDone;
  }();
  FUZZ_CHECK(ready);
  return superslab.slabs[0];
}

// What a program writes into a block that it has, at both ends.
void Stamp(Block* block, size_t size, uint32_t index) {
  uint64_t* words = reinterpret_cast<uint64_t*>(block);
  words[0] = words[1] = index;
  words[size / 8 - 1] = index;
}
void CheckStamp(Block* block, size_t size, uint32_t index) {
  const uint64_t* words = reinterpret_cast<const uint64_t*>(block);
  FUZZ_CHECK(words[0] == index && words[1] == index && words[size / 8 - 1] == index);
}

class Model {
 public:
  explicit Model(fuzz::Input input) : input_(input), slab_(TheSlab()) {
    superslab.Prepare(static_cast<char*>(WindowAddress(kFirstSuperslab)), true);
  }

  void Run() {
    while (!input_.done()) {
      Step();
      CheckAll();
    }
  }

 private:
  Block* At(uint32_t i) { return reinterpret_cast<Block*>(slab_.base() + size_t{i} * size_); }
  uint32_t IndexOf(const Block* block) {
    const size_t offset = static_cast<size_t>(reinterpret_cast<const char*>(block) - slab_.base());
    FUZZ_CHECK(offset % size_ == 0);
    FUZZ_CHECK(offset / size_ < capacity_);
    return static_cast<uint32_t>(offset / size_);
  }

  // Up to `most` of the blocks that are out, linked.
  Chain TakeOut(size_t most, std::set<uint32_t>* to) {
    Chain chain;
    while (chain.count < most && !out_.empty()) {
      auto it = out_.lower_bound(static_cast<uint32_t>(input_.Below(capacity_)));
      if (it == out_.end()) it = out_.begin();
      CheckStamp(At(*it), size_, *it);
      chain.PushFront(At(*it));
      to->insert(*it);
      out_.erase(it);
    }
    return chain;
  }

  // The blocks of `chain` come out of `from`.
  void HandOut(const Chain& chain, std::set<uint32_t>* from) {
    Block* block = chain.first;
    for (uint32_t n = 0; n < chain.count; ++n) {
      const uint32_t i = IndexOf(block);
      Block* next = n + 1 < chain.count ? NextOf(block) : nullptr;
      FUZZ_CHECK(from->erase(i) == 1);
      FUZZ_CHECK(out_.insert(i).second);
      Stamp(block, size_, i);
      block = next;
    }
  }

  // Blocks that were made along with others stand on the slab's own list.
  void FindMadeFree(OwnedSlab& owned) {
    Chain chain = owned.Pop();
    Block* block = chain.first;
    for (uint32_t n = 0; n < chain.count; ++n) {
      const uint32_t i = IndexOf(block);
      FUZZ_CHECK(uncarved_.erase(i) + own_.erase(i) == 1);
      chain.last = block;
      block = n + 1 < chain.count ? NextOf(block) : nullptr;
    }
    FUZZ_CHECK(own_.empty());
    block = chain.first;
    for (uint32_t n = 0; n < chain.count; ++n) {
      own_.insert(IndexOf(block));
      block = n + 1 < chain.count ? NextOf(block) : nullptr;
    }
    if (chain.count != 0) owned.Push(chain);
  }

  void SetUp(size_t heap) {
    const unsigned c = kTriedClasses[input_.Below(sizeof(kTriedClasses) / sizeof(kTriedClasses[0]))];
    size_ = kSizeClasses[c].block_size;
    capacity_ = kSizeClasses[c].capacity;
    const OwnedSlab owned = OwnedSlab::SetUp(slab_, Heap(heap), c, false);
    owner_ = Heap(heap).id;
    heap_ = heap;
    for (uint32_t i = 0; i < capacity_; ++i) uncarved_.insert(i);
    FUZZ_CHECK(owned.IsHome());
  }

  void PushRemote(const Claimant& who) {
    if (who.id == owner_ || out_.empty()) return;
    const Chain chain = TakeOut(1 + input_.Below(8), &remote_);
    HeapId notify = kNoHeap;
    const auto owned = OwnedSlab::PushRemote(slab_, chain, who, &notify);
    FUZZ_CHECK(owned.has_value() == (owner_ == kNoHeap && who.id != kNoHeap));
    FUZZ_CHECK(notify == (owner_ != kNoHeap && !notified_ ? owner_ : kNoHeap));
    if (owner_ != kNoHeap) notified_ = true;
    if (owned) owner_ = who.id;
  }

  void Purge(OwnedSlab& owned) {
    owned.PurgeFreePages();
    own_.merge(remote_);
    remote_.clear();
    // Which blocks lay in pages that went is what the list now lacks.
    Chain kept = owned.Pop();
    std::set<uint32_t> still;
    Block* block = kept.first;
    for (uint32_t n = 0; n < kept.count; ++n) {
      const uint32_t i = IndexOf(block);
      FUZZ_CHECK(own_.count(i) == 1);
      FUZZ_CHECK(still.insert(i).second);
      kept.last = block;
      block = n + 1 < kept.count ? NextOf(block) : nullptr;
    }
    if (kept.count != 0) owned.Push(kept);
    for (uint32_t i : own_) {
      if (still.count(i) == 0) uncarved_.insert(i);
    }
    own_ = still;
  }

  void Step() {
    const unsigned op = input_.Byte();
    const size_t h = input_.Below(kHeaps);
    if (owner_ == kRetired) {
      SetUp(h);
      return;
    }
    auto owned = OwnedSlab::Claim(slab_, Heap(h));
    FUZZ_CHECK(owned.has_value() == (owner_ == kNoHeap || owner_ == Heap(h).id));
    if (!owned) {
      PushRemote(op % 8 == 0 ? Claimant{kNoHeap, 0, 0} : Heap(h));
      return;
    }
    if (owner_ == kNoHeap && op % 4 == 1) {
      // Back to how it was: the push below claims by itself.
      FUZZ_CHECK(owned->Release());
      PushRemote(op % 8 == 1 ? Claimant{kNoHeap, 0, 0} : Heap(h));
      if (owner_ != kNoHeap) heap_ = h;
      return;
    }
    owner_ = Heap(h).id;
    heap_ = h;
    switch (op % 10) {
      case 0:
        if (!own_.empty()) break;
        FUZZ_CHECK(owned->Drain() == remote_.size());
        own_.swap(remote_);
        break;
      case 1:
        if (out_.empty()) break;
        owned->Push(TakeOut(1 + input_.Below(16), &own_));
        break;
      case 2: {
        const Chain chain = owned->Pop();
        FUZZ_CHECK(chain.count == own_.size());
        HandOut(chain, &own_);
        break;
      }
      case 3: {
        Block* block = owned->PopOne();
        FUZZ_CHECK((block == nullptr) == own_.empty());
        if (block != nullptr) HandOut({block, block, 1}, &own_);
        break;
      }
      case 4:
      case 5: {
        FUZZ_CHECK(owned->HasUncarved() == !uncarved_.empty());
        if (uncarved_.empty()) break;
        bool clean = true;
        const uint32_t most = static_cast<uint32_t>(1 + input_.Below(512));
        const Chain chain = owned->Carve(most, &clean);
        FUZZ_CHECK(chain.count >= 1 && chain.count <= most && !clean);
        HandOut(chain, &uncarved_);
        FindMadeFree(*owned);
        break;
      }
      case 6:
        if (!notified_) break;
        notified_ = false;
        if (!own_.empty()) {
          owned->Acknowledge();
          break;
        }
        FUZZ_CHECK(owned->Acknowledge() == remote_.size());
        own_.swap(remote_);
        break;
      case 7:
        FUZZ_CHECK(owned->Release() == !notified_);
        if (!notified_) owner_ = kNoHeap;
        break;
      case 8: {
        const bool home = out_.empty();
        FUZZ_CHECK(owned->IsHome() == home);
        FUZZ_CHECK(owned->Retire() == (home && !notified_));
        if (!home || notified_) break;
        owner_ = kRetired;
        own_.clear();
        remote_.clear();
        uncarved_.clear();
        break;
      }
      default: Purge(*owned); break;
    }
  }

  void CheckAll() {
    const RemoteState state = slab_.PeekRemote();
    FUZZ_CHECK(state.owner == owner_);
    FUZZ_CHECK(state.count == remote_.size());
    FUZZ_CHECK(state.notified == notified_);
    if (owner_ == kRetired) return;
    FUZZ_CHECK(out_.size() + own_.size() + remote_.size() + uncarved_.size() == capacity_);
    const uint32_t tag = address_map::TagOfSlab(slab_);
    if (owner_ == kNoHeap) {
      FUZZ_CHECK(tag == address_map::kNoTag);
      return;
    }
    const unsigned c = slab_.size_class();
    const Claimant who = Heap(heap_);
    if (c > kMaxListedClass) {
      FUZZ_CHECK(tag == address_map::kNoTag);
    } else if (c <= kSteppedClasses) {
      FUZZ_CHECK(tag == who.step_tag + c * kTagStep);
    } else {
      FUZZ_CHECK(tag == who.wide_tag + (c - kSteppedClasses - 1) * kTagStep);
    }
    const auto owned = OwnedSlab::Claim(slab_, who);
    FUZZ_CHECK(owned.has_value());
    FUZZ_CHECK(owned->used() == out_.size());
    FUZZ_CHECK(owned->HasFree() == !own_.empty());
    FUZZ_CHECK(owned->HasRemote() == !remote_.empty());
  }

  fuzz::Input input_;
  Slab& slab_;
  size_t size_ = 0;
  size_t capacity_ = 1;
  HeapId owner_ = kRetired;
  size_t heap_ = 0;
  bool notified_ = false;
  // Where each block is, by its index.
  std::set<uint32_t> out_, own_, remote_, uncarved_;
};

// Three threads, each a heap of its own.
class Race {
 public:
  explicit Race(fuzz::Input input) : slab_(TheSlab()) {
    superslab.Prepare(static_cast<char*>(WindowAddress(kFirstSuperslab)), true);
    // Few large blocks: everything happens at once.
    const unsigned c = ClassOfSize(input.Byte() % 2 == 0 ? 4096 : 16384);
    OwnedSlab owned = OwnedSlab::SetUp(slab_, Heap(0), c, false);
    size_ = kSizeClasses[c].block_size;
    capacity_ = kSizeClasses[c].capacity;
    size_t turn = 0;
    while (owned.HasUncarved()) {
      bool clean;
      const Chain chain = owned.Carve(1, &clean);
      FUZZ_CHECK(chain.count == 1);
      held_[turn++ % kHeaps].push_back(chain.first);
    }
    FUZZ_CHECK(owned.Release());
    const size_t share = input.left() / kHeaps;
    for (size_t h = 0; h < kHeaps; ++h) {
      inputs_.emplace_back(reinterpret_cast<const uint8_t*>(input.rest()) + h * share, share);
    }
  }

  void Run() {
    std::thread first([this] { Play(1); });
    std::thread second([this] { Play(2); });
    Play(0);
    first.join();
    second.join();
    CheckEnd();
  }

 private:
  void Play(size_t h) {
    fuzz::Input& input = inputs_[h];
    while (!input.done()) Step(h, input.Byte());
    // Nobody keeps the slab for ever.
    Acknowledge(h);
    if (slab_.owner() == Heap(h).id) {
      if (auto owned = OwnedSlab::Claim(slab_, Heap(h))) {
        // A notification may just be on its way: it stays in the inbox, for CheckEnd.
        static_cast<void>(owned->Release());
      }
    }
  }

  void Acknowledge(size_t h) {
    if (!inbox_[h].exchange(false)) return;
    auto owned = OwnedSlab::Claim(slab_, Heap(h));
    FUZZ_CHECK(owned.has_value());  // a notified slab keeps its owner
    owned->Acknowledge();
  }

  void Step(size_t h, unsigned op) {
    Acknowledge(h);
    std::vector<Block*>& held = held_[h];
    const Claimant who = Heap(h);
    Chain chain;
    switch (op % 4) {
      case 0:
      case 1:
        while (!held.empty() && chain.count < 1 + op / 64) {
          chain.PushFront(held.back());
          held.pop_back();
        }
        if (chain.count == 0) return;
        if (slab_.owner() == who.id) {
          auto owned = OwnedSlab::Claim(slab_, who);
          FUZZ_CHECK(owned.has_value());
          owned->Push(chain);
          return;
        }
        {
          HeapId notify = kNoHeap;
          const bool claimed = OwnedSlab::PushRemote(slab_, chain, who, &notify).has_value();
          if (claimed) FUZZ_CHECK(slab_.owner() == who.id);
          if (notify == kNoHeap) return;
          for (size_t other = 0; other < kHeaps; ++other) {
            // In an inbox once at most.
            if (Heap(other).id == notify) FUZZ_CHECK(!inbox_[other].exchange(true));
          }
        }
        return;
      case 2:
        if (auto owned = OwnedSlab::Claim(slab_, who)) {
          if (!owned->HasFree()) owned->Drain();
          const Chain taken = owned->Pop();
          Block* block = taken.first;
          for (uint32_t n = 0; n < taken.count; ++n) {
            held.push_back(block);
            block = n + 1 < taken.count ? NextOf(block) : nullptr;
          }
        }
        return;
      default:
        if (slab_.owner() != who.id) return;
        if (auto owned = OwnedSlab::Claim(slab_, who)) static_cast<void>(owned->Release());
    }
  }

  void CheckEnd() {
    for (size_t h = 0; h < kHeaps; ++h) Acknowledge(h);
    const RemoteState state = slab_.PeekRemote();
    FUZZ_CHECK(!state.notified);
    std::map<Block*, int> found;
    for (const std::vector<Block*>& held : held_) {
      for (Block* block : held) ++found[block];
    }
    for (size_t h = 0; h < kHeaps; ++h) {
      if (state.owner != kNoHeap && state.owner != Heap(h).id) continue;
      auto owned = OwnedSlab::Claim(slab_, Heap(h));
      FUZZ_CHECK(owned.has_value());
      FUZZ_CHECK(owned->used() == found.size());
      for (int round = 0; round < 2; ++round) {
        const Chain chain = owned->Pop();
        Block* block = chain.first;
        for (uint32_t n = 0; n < chain.count; ++n) {
          ++found[block];
          block = n + 1 < chain.count ? NextOf(block) : nullptr;
        }
        owned->Drain();
      }
      break;
    }
    FUZZ_CHECK(found.size() == capacity_);
    for (const auto& [block, times] : found) FUZZ_CHECK(times == 1);
  }

  Slab& slab_;
  size_t size_ = 0;
  size_t capacity_ = 0;
  std::vector<fuzz::Input> inputs_;
  std::vector<Block*> held_[kHeaps];
  std::atomic<bool> inbox_[kHeaps] = {};
};

}  // namespace
}  // namespace hakmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hakmem::fuzz::Input input(data, size);
  if (input.Byte() % 2 == 0) {
    hakmem::Model(input).Run();
  } else {
    hakmem::Race(input).Run();
  }
  return 0;
}
