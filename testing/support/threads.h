// Threads for tests of what threads do to each other.
#ifndef TESTING_SUPPORT_THREADS_H_
#define TESTING_SUPPORT_THREADS_H_

#include <atomic>
#include <thread>
#include <vector>

namespace hakmem::test {

// Runs `body(i)` in `count` threads that begin together, and waits for all of them.
template <class Body>
void RunTogether(unsigned count, Body body) {
  std::atomic<unsigned> ready{0};
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      ready.fetch_add(1);
      while (ready.load() != count) std::this_thread::yield();
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Runs `body` in one other thread and waits for it.
template <class Body>
void RunInThread(Body body) {
  std::thread(body).join();
}

}  // namespace hakmem::test

#endif  // TESTING_SUPPORT_THREADS_H_
