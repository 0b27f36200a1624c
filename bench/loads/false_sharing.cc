// Do small blocks of different threads share a cache line? Active: threads allocate at the same time and write what
// they got. Passive: one thread allocates for all, and the others free those blocks and then allocate their own; an
// allocator that hands the freed block straight out again keeps the neighbours sharing.
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"

ABSL_FLAG(std::string, mode, "active", "'active' or 'passive'");
ABSL_FLAG(int64_t, threads, 2, "threads");
ABSL_FLAG(int64_t, iterations, 20'000, "blocks that every thread allocates, one after the other");
ABSL_FLAG(int64_t, writes, 2000, "writes to every block");
ABSL_FLAG(int64_t, size, 8, "bytes of a block");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "false_sharing [flags]\n\n"
    "Threads write to small blocks of their own, again and again. An operation is one write.";

void WriteOver(void* block, int64_t size, int64_t writes) {
  auto* bytes = static_cast<volatile unsigned char*>(block);
  for (int64_t i = 0; i < writes; ++i) {
    const int64_t at = i % size;
    bytes[at] = static_cast<unsigned char>(bytes[at] + 1);
  }
}

int Main(int argc, char** argv) {
  Load load("false_sharing", kUsage, argc, argv);
  load.RefuseWords();
  const std::string mode = absl::GetFlag(FLAGS_mode);
  const int64_t threads = absl::GetFlag(FLAGS_threads);
  const int64_t iterations = absl::GetFlag(FLAGS_iterations);
  const int64_t writes = absl::GetFlag(FLAGS_writes);
  const int64_t size = absl::GetFlag(FLAGS_size);
  if (mode != "active" && mode != "passive")
    UsageError(absl::StrCat("--mode=", mode, " is neither active nor passive"));
  CheckRange("threads", threads, 1, 10'000);
  CheckRange("iterations", iterations, 1, int64_t{1} << 40);
  CheckRange("writes", writes, 1, int64_t{1} << 40);
  CheckRange("size", size, 1, 1 << 20);

  std::vector<void*> given(static_cast<size_t>(threads), nullptr);
  if (mode == "passive") {
    for (void*& block : given) block = NewBlock(static_cast<size_t>(size));
  }
  load.Start();
  RunThreads(static_cast<int>(threads), [&](int index) {
    if (void* block = given[static_cast<size_t>(index)]; block != nullptr) DropBlock(block, static_cast<size_t>(size));
    for (int64_t i = 0; i < iterations; ++i) {
      void* block = NewBlock(static_cast<size_t>(size));
      WriteOver(block, size, writes);
      StampBlock(block, static_cast<size_t>(size));
      DropBlock(block, static_cast<size_t>(size));
    }
  });
  load.Finish(static_cast<uint64_t>(threads * iterations * writes));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
