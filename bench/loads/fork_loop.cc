// A process with threads and a large heap forks again and again, as servers do to write a snapshot: the child reads the
// heap, allocates a little and ends; the parent's threads go on allocating. Every page that the allocator writes after
// a fork is copied.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(int64_t, bytes, int64_t{1} << 30, "size of the heap");
ABSL_FLAG(int64_t, forks, 30, "children, one after the other");
ABSL_FLAG(int64_t, threads, 2, "threads that go on allocating");
ABSL_FLAG(int64_t, replacements, 20'000, "blocks that each thread replaces between two forks");
ABSL_FLAG(int64_t, min_size, 16, "smallest block in bytes");
ABSL_FLAG(int64_t, max_size, 2000, "largest block in bytes");
ABSL_FLAG(int64_t, seed, 1, "of the random sizes and places");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "fork_loop [flags]\n\n"
    "Forks a process with threads and a large heap. An operation is one block replaced by the parent; CPU time and "
    "faults "
    "are those of parent and children.";

struct Slot {
  void* block;
  size_t size;
};

// Ends the child without destructors, as after a fork of a threaded process only async-signal-safe calls are certain;
// malloc and free are what this load wants to see working.
[[noreturn]] void RunChild(const std::vector<Slot>& slots, Random random, size_t min_size, size_t max_size) {
  for (size_t i = 0; i < slots.size(); i += 97) CheckBlock(slots[i].block, slots[i].size);
  std::vector<Slot> own(1000);
  for (Slot& slot : own) {
    slot.size = random.Between(min_size, max_size);
    slot.block = NewBlock(slot.size);
  }
  for (Slot& slot : own) DropBlock(slot.block, slot.size);
  _exit(0);
}

int Main(int argc, char** argv) {
  Load load("fork_loop", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t bytes = absl::GetFlag(FLAGS_bytes);
  const int64_t forks = absl::GetFlag(FLAGS_forks);
  const int64_t threads = absl::GetFlag(FLAGS_threads);
  const int64_t replacements = absl::GetFlag(FLAGS_replacements);
  const int64_t min_size = absl::GetFlag(FLAGS_min_size);
  const int64_t max_size = absl::GetFlag(FLAGS_max_size);
  CheckRange("bytes", bytes, 1, int64_t{1} << 40);
  CheckRange("forks", forks, 1, 1'000'000);
  CheckRange("threads", threads, 1, 10'000);
  CheckRange("replacements", replacements, 1, int64_t{1} << 40);
  CheckRange("min_size", min_size, 1, int64_t{1} << 30);
  CheckRange("max_size", max_size, min_size, int64_t{1} << 30);

  const auto least = static_cast<size_t>(min_size);
  const auto most = static_cast<size_t>(max_size);
  Random random(static_cast<uint64_t>(absl::GetFlag(FLAGS_seed)));
  const size_t per_thread = static_cast<size_t>(bytes / threads) / ((least + most) / 2) + 1;
  std::vector<std::vector<Slot>> heaps(static_cast<size_t>(threads), std::vector<Slot>(per_thread));
  for (auto& slots : heaps) {
    for (Slot& slot : slots) {
      slot.size = random.Between(least, most);
      slot.block = NewBlock(slot.size);
    }
  }
  std::atomic<bool> stop{false};
  std::atomic<int64_t> rounds{0};

  load.Start();
  // Thread 0 forks; the others replace blocks all the while. The share of thread 0 is replaced between the forks, so
  // that some work has to be done for each fork however fast it is.
  std::atomic<uint64_t> operations{0};
  RunThreads(static_cast<int>(threads), [&](int index) {
    Random mine(static_cast<uint64_t>(index) + 77);
    auto& slots = heaps[static_cast<size_t>(index)];
    for (int64_t round = 0; index != 0 || round < forks;) {
      if (index == 0) {
        const pid_t child = fork();
        if (child < 0) {
          std::fprintf(stderr, "fork_loop: fork failed: %s\n", std::strerror(errno));
          _exit(kExitNoResource);
        }
        if (child == 0) RunChild(slots, mine, least, most);
        int status = 0;
        if (waitpid(child, &status, 0) != child || status != 0) {
          std::fprintf(stderr, "fork_loop: the child of fork %lld ended with wait status 0x%x\n",
                       static_cast<long long>(round), static_cast<unsigned>(status));
          _exit(kExitDamaged);
        }
        ++round;
        rounds.store(round, std::memory_order_release);
      } else {
        // The same work for every fork on every allocator: wait for the next one.
        while (rounds.load(std::memory_order_acquire) <= round && !stop.load(std::memory_order_acquire)) usleep(100);
        if (stop.load(std::memory_order_acquire)) break;
        ++round;
      }
      for (int64_t i = 0; i < replacements; ++i) {
        Slot& slot = slots[mine.Below(slots.size())];
        DropBlock(slot.block, slot.size);
        slot.size = mine.Between(least, most);
        slot.block = NewBlock(slot.size);
      }
      operations.fetch_add(static_cast<uint64_t>(replacements), std::memory_order_relaxed);  // read after the join
    }
    if (index == 0) stop.store(true, std::memory_order_release);
  });
  load.Finish(operations.load(std::memory_order_relaxed));
  for (auto& slots : heaps) {
    for (Slot& slot : slots) DropBlock(slot.block, slot.size);
  }
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
