// Blocks of many sizes go from thread to thread while threads end and new ones start, then a workload that asks for
// everything once: in each variant of the matrix.

#include <hakmem/hakmem.h>
#include <stdio.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "testing/failing_calls/workload.h"
#include "testing/matrix/variant.h"

namespace hakmem::testing {
namespace {

constexpr size_t kSlots = 512;
constexpr size_t kThreads = 3;
constexpr int kGenerations = 6;
constexpr int kSteps = 20000;

std::string variant;

[[noreturn]] void Fail(const char* what) {
  fprintf(stderr, "variant %s: %s\n", variant.c_str(), what);
  abort();
}

// A block begins with its size, and ends with the lowest byte of it.
char* Make(size_t size) {
  char* p = static_cast<char*>(hak_malloc(size));
  if (p == nullptr) Fail("out of memory");
  *reinterpret_cast<size_t*>(p) = size;
  p[size - 1] = static_cast<char>(size);
  return p;
}

void Destroy(char* p) {
  if (p == nullptr) return;
  const size_t size = *reinterpret_cast<size_t*>(p);
  if (size < 16 || size > (size_t{1} << 20) || p[size - 1] != static_cast<char>(size)) Fail("a block was changed");
  hak_free(p);
}

std::atomic<char*> slots[kSlots];

void Work(unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<char*> own;
  for (int i = 0; i < kSteps; ++i) {
    const unsigned r = static_cast<unsigned>(random());
    const size_t size = r % 512 == 0 ? 16 + r % 300000 : r % 16 == 0 ? 16 + r % 20000 : 16 + r % 1000;
    if (r / 512 % 2 == 0) {
      own.push_back(Make(size + 8));
      if (own.size() > 300) {
        std::swap(own[r % own.size()], own.back());
        Destroy(own.back());
        own.pop_back();
      }
    } else {
      // Acquire and release: what the maker wrote into the block goes with it.
      Destroy(slots[r / 1024 % kSlots].exchange(Make(size + 8), std::memory_order_acq_rel));
    }
    if (r % 8191 == 0) hak_trim(0);
  }
  for (char* p : own) Destroy(p);
}

int Run() {
  const auto start = std::chrono::steady_clock::now();
  for (int generation = 0; generation < kGenerations; ++generation) {
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) threads.emplace_back(Work, generation * 100 + t + 1);
    for (std::thread& thread : threads) thread.join();
  }
  for (std::atomic<char*>& slot : slots) Destroy(slot.exchange(nullptr));
  const WorkloadResult result = RunWorkload(4);
  if (!result.problem.empty()) Fail(result.problem.c_str());
  if (result.refused != 0) Fail("requests were refused");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  printf("variant %s: passed in %.1f s\n", variant.c_str(), seconds.count());
  return 0;
}

}  // namespace
}  // namespace hakmem::testing

int main(int argc, char** argv) {
  hakmem::testing::variant = hakmem::testing::EnterVariant(argc, argv);
  return hakmem::testing::Run();
}
