// Slots and generations of the shared pool, without heaps.
//
// The first byte chooses. Even: one thread plays several heaps that take slabs, use them up or give them back, while
// idle memory is purged and mappings fail; a model knows which pieces of memory are whose. Odd: three threads at once.

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "fuzz/input.h"
#include "hakmem/config/options.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "testing/failing_calls/fault_plan.h"

namespace hakmem {
namespace {

using testing::FaultPlan;

constexpr size_t kHeaps = 3;
constexpr size_t kMostSlabs = 200;

// Under the address sanitizer memory of slabs is poisoned but for blocks that are with the program.
HAK_NO_ASAN void Scribble(volatile char* at, char value) { *at = value; }
HAK_NO_ASAN char Look(const volatile char* at) { return *at; }

struct Held {
  Slab* slab;
  char mark;
};

// Who holds each piece of 64 KiB, by its address. Shared by the threads.
std::atomic<uint32_t> holders[1 << 16];
std::atomic<uint32_t>& HolderOf(const char* piece) {
  return holders[(reinterpret_cast<uintptr_t>(piece) >> kSlabShift) % (sizeof(holders) / sizeof(holders[0]))];
}

class Player {
 public:
  Player(size_t number, fuzz::Input input, bool alone)
      : who_{static_cast<HeapId>(number + 1), 0, 0}, input_(input), alone_(alone) {}

  bool done() const { return input_.done(); }

  void Step() {
    const unsigned op = input_.Byte();
    switch (op % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (held_.size() < kMostSlabs) Acquire();
        break;
      case 4:
      case 5:
      case 6:
        if (!held_.empty()) Release(input_.Below(held_.size()));
        break;
      default: Other(op / 8); break;
    }
  }

  void ReleaseAll() {
    while (!held_.empty()) Release(held_.size() - 1);
  }

 private:
  void Acquire() {
    const unsigned c = ClassOfList(static_cast<unsigned>(1 + input_.Below(kClasses - 1)));
    const uint64_t failed = FaultPlan::failed();
    auto owned = pool::Acquire(cache_, who_, c);
    if (!owned) {
      FUZZ_CHECK(FaultPlan::failed() != failed || !alone_);
      return;
    }
    Slab& slab = owned->slab();
    FUZZ_CHECK(slab.size_class() == c);
    FUZZ_CHECK(slab.owner() == who_.id);
    FUZZ_CHECK(owned->IsHome() && owned->HasUncarved() && !owned->HasFree());
    const SlotValue value = slab.slot().Peek();
    FUZZ_CHECK(value.state == SlotState::kActive);
    CheckGeneration(slab, value);
    FUZZ_CHECK(slab.index() + slab.span() <= kSlabsPerSuperslab);
    for (size_t i = 0; i < slab.span(); ++i) {
      FUZZ_CHECK(HolderOf(slab.base() + i * kSlabSize).exchange(who_.id) == 0);
    }
    bool clean;
    const Chain chain = owned->Carve(1, &clean);
    FUZZ_CHECK(chain.count == 1);
    const char mark = static_cast<char>(input_.Byte() | 1);
    for (size_t i = 0; i < slab.span() * kSlabSize; i += 4096) {
      char* at = slab.base() + i + 64;
      if (clean && at < slab.base() + slab.block_size()) FUZZ_CHECK(Look(at) == 0);
      Scribble(at, mark);
    }
    owned->Push({chain.first, chain.first, 1});
    held_.push_back({&slab, mark});
  }

  // Generations only grow, and a value that is out of date is refused.
  void CheckGeneration(Slab& slab, SlotValue now) {
    if (!alone_) return;
    auto [it, fresh] = seen_.try_emplace(&slab, now);
    if (fresh) return;
    FUZZ_CHECK(now.generation > it->second.generation);
    FUZZ_CHECK(!slab.slot().Change(it->second, SlotState::kEmpty));
    it->second = now;
  }

  void Release(size_t i) {
    const Held held = held_[i];
    held_[i] = held_.back();
    held_.pop_back();
    Slab& slab = *held.slab;
    for (size_t at = 0; at < slab.span() * kSlabSize; at += 4096) {
      FUZZ_CHECK(Look(slab.base() + at + 64) == held.mark);
    }
    auto owned = OwnedSlab::Claim(slab, who_);
    FUZZ_CHECK(owned.has_value());
    FUZZ_CHECK(owned->Retire());
    for (size_t p = 0; p < slab.span(); ++p) {
      FUZZ_CHECK(HolderOf(slab.base() + p * kSlabSize).exchange(0) == who_.id);
    }
    pool::Release(cache_, slab);
  }

  void Other(unsigned op) {
    switch (op % 8) {
      case 0: pool::GiveBackIdle(SIZE_MAX); break;
      case 1: pool::GiveBackIdle(input_.Number(3)); break;
      case 2: pool::Balance(); break;
      case 3: cache_ = {}; break;
      case 4:
        if (alone_) g_options.idle_keep = input_.Number(3);
        break;
      case 5:
        if (alone_) FaultPlan::Set(os::Call::kMap, 1 + input_.Below(4), 1 + input_.Below(4));
        break;
      case 6:
        if (alone_) FaultPlan::Set(os::Call::kPurge, 1 + input_.Below(4), 1 + input_.Below(4));
        break;
      default: FaultPlan::Clear(); break;
    }
  }

  const Claimant who_;
  fuzz::Input input_;
  const bool alone_;
  pool::Cache cache_;
  std::vector<Held> held_;
  static inline std::map<Slab*, SlotValue> seen_;
};

void Run(fuzz::Input input) {
  static const bool ready = [] {
    gate::OpenWindow(true);
    return HasWindow();
  }();
  FUZZ_CHECK(ready);
  const bool alone = input.Byte() % 2 == 0;
  const size_t share = input.left() / kHeaps;
  std::vector<Player> players;
  for (size_t i = 0; i < kHeaps; ++i) {
    players.emplace_back(i, fuzz::Input(reinterpret_cast<const uint8_t*>(input.rest()) + i * share, share), alone);
  }
  if (alone) {
    while (!players[0].done() || !players[1].done() || !players[2].done()) {
      for (Player& player : players) {
        if (!player.done()) player.Step();
      }
    }
  } else {
    auto play = [&players](size_t i) {
      while (!players[i].done()) players[i].Step();
      players[i].ReleaseAll();
    };
    std::thread first(play, 1);
    std::thread second(play, 2);
    play(0);
    first.join();
    second.join();
  }
  FaultPlan::Clear();
  for (Player& player : players) player.ReleaseAll();
  g_options.idle_keep = Options{}.idle_keep;
  FUZZ_CHECK(pool::GetStatistics().active_slots == 0);
  pool::GiveBackIdle(SIZE_MAX);
  FUZZ_CHECK(pool::GetStatistics().superslabs == 0);
  FUZZ_CHECK(arena::GetUsage().taken == 0);
  FUZZ_CHECK(arena::GetUsage().idle == 0);
}

}  // namespace
}  // namespace hakmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hakmem::Run(hakmem::fuzz::Input(data, size));
  return 0;
}
