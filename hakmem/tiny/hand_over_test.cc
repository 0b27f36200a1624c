// One thread allocates, three free: the blocks have to come back to the slabs of the one that allocates.

#include <hakmem/hakmem.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/platform/build.h"
#include "hakmem/shared_pool/shared_pool.h"

namespace hakmem {
namespace {

using Batch = std::vector<void*>;

// A queue of batches that holds up who puts in too many.
class Queue {
 public:
  void Put(Batch batch) {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [this] { return batches_.size() < 16; });
    batches_.push_back(std::move(batch));
    changed_.notify_all();
  }
  Batch Take() {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [this] { return !batches_.empty(); });
    Batch batch = std::move(batches_.front());
    batches_.pop_front();
    changed_.notify_all();
    return batch;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> batches_;
};

// The most superslabs, when each thread that frees keeps the last `late` batches.
uint64_t MostSuperslabs(size_t late) {
  constexpr size_t kConsumers = 3;
  constexpr size_t kBatches = 6000;
  constexpr size_t kBatch = 100;
  std::array<Queue, kConsumers> queues;
  std::vector<std::thread> consumers;
  for (Queue& queue : queues) {
    consumers.emplace_back([&queue, late] {
      std::deque<Batch> kept;
      const auto free_first = [&kept] {
        for (void* block : kept.front()) hak_free(block);
        kept.pop_front();
      };
      for (Batch batch = queue.Take(); !batch.empty(); batch = queue.Take()) {
        kept.push_back(std::move(batch));
        if (kept.size() > late) free_first();
      }
      while (!kept.empty()) free_first();
    });
  }
  uint64_t most = 0;
  uint32_t random = 1;
  for (size_t i = 0; i < kBatches; ++i) {
    Batch batch;
    for (size_t n = 0; n < kBatch; ++n) {
      random = random * 1664525 + 1013904223;
      batch.push_back(hak_malloc(16 + (random >> 24)));
      EXPECT_NE(batch.back(), nullptr);
    }
    queues[i % kConsumers].Put(std::move(batch));
    if (i % 100 == 0) most = std::max(most, pool::GetStatistics().superslabs);
  }
  for (Queue& queue : queues) queue.Put({});
  for (std::thread& consumer : consumers) consumer.join();
  return most;
}

TEST(HandOver, FreedByThreeThreadsComesBack) {
  // 48 batches and what three outboxes hold make less than 1 MB. All blocks together would take 40 superslabs. In a
  // guard build 48 Ki blocks wait in the threads' queues.
  EXPECT_LE(MostSuperslabs(0), kGuardBuild ? 12u : 5u);
}

// The blocks are freed so late that their slabs were full before, and are anybody's: each belongs to one of the threads
// that free, of which none ever allocates, and the others free into it. What they keep makes 4 superslabs.
TEST(HandOver, FreedLateByThreeThreadsComesBack) { EXPECT_LE(MostSuperslabs(150), kGuardBuild ? 16u : 12u); }

}  // namespace
}  // namespace hakmem
