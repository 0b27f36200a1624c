#include "testing/larson_stress/stress.h"

#include <unistd.h>

#include <chrono>
#include <utility>

namespace hakmem::stress {
namespace {

// Of 100 events: blocks exchanged with another thread's, resized, or allocated with calloc. The others are replaced.
constexpr uint64_t kExchange = 25;
constexpr uint64_t kResize = 5;
constexpr uint64_t kCalloc = 5;

}  // namespace

Stress::Stress(const Options& options)
    : options_(options), counters_(static_cast<size_t>(options.threads) * 32), seeds_(options.seed) {}

size_t Stress::RandomSize(std::mt19937_64& random) const {
  const size_t size = options_.min_size + random() % (options_.max_size - options_.min_size + 1);
  const bool large = static_cast<double>(random() >> 11) * 0x1p-53 < options_.large_share;
  return large ? size << (1 + random() % 7) : size;
}

HeldBlock Stress::NewBlock(std::mt19937_64& random) {
  const size_t size = RandomSize(random);
  const HowToAllocate how = random() % 100 < kCalloc ? HowToAllocate::kCalloc : HowToAllocate::kMalloc;
  // Relaxed: a number. Spread over all bytes, so that two patterns differ in each word.
  return Allocate(size, next_stamp_.fetch_add(1, std::memory_order_relaxed) * 0xbf58476d1ce4e5b9u, how);
}

uint64_t Stress::TakeSeed() { return seeds_(); }

void Stress::StartThread(Blocks blocks, uint64_t seed) {
  ++threads_;
  to_join_.emplace_back(&Stress::RunThread, this, std::move(blocks), seed);
}

void Stress::RunThread(Blocks blocks, uint64_t seed) {
  std::mt19937_64 random(seed);
  while (blocks.size() < options_.blocks) blocks.push_back(NewBlock(random));
  // Not all of one age, so that they do not end at once.
  const uint64_t lifetime = options_.lifetime / 2 + random() % options_.lifetime;
  uint64_t events = 0, handed_on = 0;
  // Relaxed: only ends the loop; the mutex publishes what it leaves.
  while (events < lifetime && !stop_.load(std::memory_order_relaxed)) {
    HeldBlock& mine = blocks[random() % blocks.size()];
    const uint64_t dice = random() % 100;
    if (dice < kExchange) {
      Counter& counter = counters_[random() % counters_.size()];
      std::lock_guard lock(counter.mutex);
      std::swap(mine, counter.block);
      ++handed_on;
    }
    if (mine.start == nullptr) {
      mine = NewBlock(random);
    } else if (dice >= 100 - kResize) {
      Resize(&mine, RandomSize(random));
    } else {
      CheckAndFree(mine);
      mine = NewBlock(random);
    }
    ++events;
  }
  events_.fetch_add(events, std::memory_order_relaxed);        // a count
  handed_on_.fetch_add(handed_on, std::memory_order_relaxed);  // a count

  std::lock_guard lock(mutex_);
  // The successor works with the blocks of a thread that ended before; this one's wait for the next.
  std::swap(blocks, parked_);
  if (!stop_.load(std::memory_order_relaxed)) {                       // as above
    handed_on_.fetch_add(parked_.size(), std::memory_order_relaxed);  // a count
    StartThread(std::move(blocks), TakeSeed());
  } else {
    for (const HeldBlock& block : blocks) CheckAndFree(block);
  }
}

Result Stress::Run() {
  {
    std::lock_guard lock(mutex_);
    for (int i = 0; i < options_.threads; ++i) StartThread({}, TakeSeed());
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(options_.seconds);
  for (;;) {
    if (std::chrono::steady_clock::now() >= end) stop_.store(true, std::memory_order_relaxed);  // only ends loops
    std::thread next;
    {
      std::lock_guard lock(mutex_);
      if (to_join_.empty()) break;  // a thread starts its successor before it ends
      next = std::move(to_join_.front());
      to_join_.pop_front();
    }
    next.join();
  }
  std::lock_guard lock(mutex_);
  for (const HeldBlock& block : parked_) CheckAndFree(block);
  for (const Counter& counter : counters_) {
    if (counter.block.start != nullptr) CheckAndFree(counter.block);
  }
  return {events_.load(), threads_, handed_on_.load()};  // all threads have ended
}

}  // namespace hakmem::stress
