#include "bench/tuning/list_simulation.h"

#include <algorithm>
#include <array>
#include <vector>

#include "bench/tuning/class_table.h"
#include "hakmem/superslab/size_classes.h"

namespace hakmem::bench {
namespace {

// As hakmem/tiny has them; a test compares these lines with those of refill.cc and heap.h.
constexpr uintptr_t kMaxListLength = 1024;
constexpr size_t kListBytes = size_t{32} << 10;
constexpr size_t kBatchBytes = size_t{128} << 10;
constexpr size_t kAllBatchesBytes = size_t{256} << 10;
constexpr size_t kMostExtraBytes = size_t{4} << 20;
constexpr uint8_t kMaxBatches = 8;

constexpr uint32_t kPage = 4096;

// A block is its slab's number and its index there.
using Blocks = std::vector<uint32_t>;
constexpr unsigned kIndexBits = 15;  // 512 KiB in the smallest blocks

struct Slab {
  unsigned size_class = 0;
  uint32_t carved = 0;  // blocks that were ever handed out
  Blocks home;          // freed blocks that came back
};

class Simulation {
 public:
  Simulation(const ListBounds& bounds, uint32_t slab) : bounds_(bounds) {
    for (unsigned c = 1; c < kListedClasses; ++c) {
      if (IsClass(c)) capacity_[c] = SpanFor(kSizeClasses[c].block_size, slab).capacity;
    }
  }

  // After each call of the program, with the bytes that it holds.
  void Tick(uint64_t asked) {
    ++ticks_;
    asked_ += static_cast<double>(asked);
    resident_sum_ += static_cast<double>(resident_);
  }

  uint32_t Malloc(unsigned c) {
    ++costs_.operations;
    Lists& lists = lists_[c];
    if (lists.alloc.empty()) Refill(c);
    const uint32_t block = lists.alloc.back();
    lists.alloc.pop_back();
    listed_ -= kSizeClasses[c].block_size;
    return block;
  }

  void Free(unsigned c, uint32_t block) {
    ++costs_.operations;
    Lists& lists = lists_[c];
    if (lists.free.size() >= Capacity(c)) SetAside(c);
    if (Capacity(c) == 0) return GiveBack(Blocks{block});
    lists.free.push_back(block);
    listed_ += kSizeClasses[c].block_size;
    costs_.listed_bytes = std::max(costs_.listed_bytes, listed_);
  }

  ListCosts costs() const {
    ListCosts costs = costs_;
    const double ticks = static_cast<double>(std::max<uint64_t>(1, ticks_));
    costs.resident = resident_sum_ / ticks;
    costs.asked = asked_ / ticks;
    return costs;
  }

 private:
  struct Lists {
    Blocks alloc;
    Blocks free;
    std::vector<Blocks> batches;
    std::vector<uint32_t> bench;  // slabs with blocks at home or uncarved memory; the last one is looked at first
  };

  size_t Capacity(unsigned c) const {
    return std::min(bounds_.list_bytes / kSizeClasses[c].block_size, bounds_.list_blocks);
  }
  // Bounds without batches have no room that grows either.
  size_t Extra() const { return bounds_.all_batches_bytes == 0 ? 0 : extra_; }
  size_t BatchBytes(unsigned c) const { return Capacity(c) * kSizeClasses[c].block_size; }

  void Refill(unsigned c) {
    Lists& lists = lists_[c];
    if (!lists.free.empty()) {
      ++costs_.takeovers;
      lists.alloc.swap(lists.free);
      return;
    }
    if (!lists.batches.empty()) {
      ++costs_.takeovers;
      lists.alloc = std::move(lists.batches.back());
      lists.batches.pop_back();
      batched_ -= BatchBytes(c);
      return;
    }
    ++costs_.refills;
    // Freed blocks first, wherever they are.
    for (size_t i = lists.bench.size(); i-- > 0;) {
      Slab& slab = slabs_[lists.bench[i]];
      if (slab.home.empty()) continue;
      lists.alloc.swap(slab.home);
      slab.home.clear();
      extra_ = std::min(kMostExtraBytes, extra_ + lists.alloc.size() * kSizeClasses[c].block_size);
      if (slab.carved == capacity_[c]) lists.bench.erase(lists.bench.begin() + static_cast<std::ptrdiff_t>(i));
      return Count(c);
    }
    if (lists.bench.empty()) lists.bench.push_back(NewSlab(c));
    const uint32_t number = lists.bench.back();
    Slab& slab = slabs_[number];
    const uint32_t most = std::max(1u, kPage / kSizeClasses[c].block_size);
    const uint32_t end = std::min<uint32_t>(capacity_[c], slab.carved + most);
    for (uint32_t i = end; i-- > slab.carved;) lists.alloc.push_back(number << kIndexBits | i);
    resident_ += (end - slab.carved) * size_t{kSizeClasses[c].block_size};
    slab.carved = end;
    if (end == capacity_[c]) lists.bench.pop_back();
    Count(c);
  }

  void Count(unsigned c) {
    listed_ += lists_[c].alloc.size() * kSizeClasses[c].block_size;
    costs_.listed_bytes = std::max(costs_.listed_bytes, listed_);
  }

  void SetAside(unsigned c) {
    Lists& lists = lists_[c];
    if (lists.free.empty()) return;
    Blocks full;
    full.swap(lists.free);
    const size_t allowed = std::min<size_t>(kMaxBatches, BatchBytes(c) == 0 ? 0 : bounds_.batch_bytes / BatchBytes(c));
    if (lists.batches.size() < allowed && batched_ < bounds_.all_batches_bytes + Extra()) {
      batched_ += BatchBytes(c);
      lists.batches.push_back(std::move(full));
      return;
    }
    extra_ -= std::min(extra_, BatchBytes(c) / 2);
    listed_ -= full.size() * kSizeClasses[c].block_size;
    GiveBack(full);
    if (batched_ > bounds_.all_batches_bytes + Extra() && !lists.batches.empty()) {
      const Blocks more = std::move(lists.batches.back());
      lists.batches.pop_back();
      batched_ -= BatchBytes(c);
      listed_ -= more.size() * kSizeClasses[c].block_size;
      GiveBack(more);
    }
  }

  void GiveBack(const Blocks& blocks) {
    costs_.given_back += blocks.size();
    for (const uint32_t block : blocks) {
      const uint32_t number = block >> kIndexBits;
      Slab& slab = slabs_[number];
      std::vector<uint32_t>& bench = lists_[slab.size_class].bench;
      if (slab.home.empty() && slab.carved == capacity_[slab.size_class]) bench.push_back(number);
      slab.home.push_back(block);
      if (slab.home.size() != slab.carved) continue;
      bench.erase(std::find(bench.begin(), bench.end(), number));
      resident_ -= slab.carved * size_t{kSizeClasses[slab.size_class].block_size};
      slab = {};
      unused_.push_back(number);
    }
  }

  uint32_t NewSlab(unsigned c) {
    ++costs_.slabs;
    uint32_t number = static_cast<uint32_t>(slabs_.size());
    if (unused_.empty()) {
      slabs_.emplace_back();
    } else {
      number = unused_.back();
      unused_.pop_back();
    }
    slabs_[number].size_class = c;
    return number;
  }

  const ListBounds bounds_;
  ListCosts costs_;
  std::array<Lists, kListedClasses> lists_;
  std::vector<Slab> slabs_;
  std::vector<uint32_t> unused_;
  uint64_t listed_ = 0;
  uint64_t batched_ = 0;
  size_t extra_ = 0;  // what may be set aside beyond the bound: see refill.cc
  uint64_t resident_ = 0;
  double resident_sum_ = 0;
  double asked_ = 0;
  uint64_t ticks_ = 0;
  std::array<uint32_t, kListedClasses> capacity_{};
};

}  // namespace

ListBounds BoundsInUse() { return {kListBytes, kMaxListLength, kBatchBytes, kAllBatchesBytes}; }

ListCosts SimulateLists(const Recording& recording, const ListBounds& bounds, uint32_t slab) {
  Simulation simulation(bounds, slab);
  uint64_t asked = 0;
  struct Place {
    unsigned size_class = 0;
    uint32_t block = 0;
    uint32_t size = 0;
  };
  std::vector<Place> places(recording.slots);
  for (const Use& use : recording.uses) {
    Place* place = &places[use.slot];
    if (place->size_class != 0) {
      simulation.Free(place->size_class, place->block);
      asked -= place->size;
      place->size_class = 0;
    }
    if (use.size != Use::kEnd && use.size <= kSizeClasses[kMaxListedClass].block_size) {
      const unsigned c = ClassOfSize(std::max(use.size, 1u));
      *place = {c, simulation.Malloc(c), use.size};
      asked += use.size;
    }
    simulation.Tick(asked);
  }
  return simulation.costs();
}

}  // namespace hakmem::bench
