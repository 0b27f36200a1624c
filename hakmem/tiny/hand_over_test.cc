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

TEST(HandOver, FreedByThreeThreadsComesBack) {
  constexpr size_t kConsumers = 3;
  constexpr size_t kBatches = 6000;
  constexpr size_t kBatch = 100;
  std::array<Queue, kConsumers> queues;
  std::vector<std::thread> consumers;
  for (Queue& queue : queues) {
    consumers.emplace_back([&queue] {
      for (Batch batch = queue.Take(); !batch.empty(); batch = queue.Take()) {
        for (void* block : batch) hak_free(block);
      }
    });
  }
  uint64_t most = 0;
  uint32_t random = 1;
  for (size_t i = 0; i < kBatches; ++i) {
    Batch batch;
    for (size_t n = 0; n < kBatch; ++n) {
      random = random * 1664525 + 1013904223;
      batch.push_back(hak_malloc(16 + (random >> 24)));
      ASSERT_NE(batch.back(), nullptr);
    }
    queues[i % kConsumers].Put(std::move(batch));
    if (i % 100 == 0) most = std::max(most, pool::GetStatistics().superslabs);
  }
  for (Queue& queue : queues) queue.Put({});
  for (std::thread& consumer : consumers) consumer.join();
  // 48 batches and what three outboxes hold make less than 1 MB. All blocks together would take 40 superslabs.
  EXPECT_LE(most, 5u);
}

}  // namespace
}  // namespace hakmem
