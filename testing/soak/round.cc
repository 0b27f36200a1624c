#include "testing/soak/round.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "hakmem/config/options.h"
#include "hakmem/large/huge.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "testing/op_stream/executor.h"
#include "testing/op_stream/random_stream.h"

namespace hakmem::soak {
namespace {

using op_stream::RandomStreamOptions;
using op_stream::SeededRandom;

struct Load {
  const char* name;
  RandomStreamOptions options;
};

std::vector<Load> LoadsOf(uint64_t seed) {
  SeededRandom random(seed);
  const auto threads = [&](uint64_t least, uint64_t more) { return static_cast<uint32_t>(least + random.Below(more)); };
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  return {
      {"one thread",
       {.seed = random.Next(),
        .ops = 4000,
        .header = {.threads = 1, .slots = threads(20, 500), .max_size = 16 * kMiB, .max_live = 96 * kMiB}}},
      {"a few threads",
       {.seed = random.Next(),
        .ops = 6000,
        .header = {.threads = threads(2, 4), .slots = threads(20, 300), .max_size = 8 * kMiB, .max_live = 96 * kMiB}}},
      // Hardly anything but small blocks: slabs fill, empty and change hands.
      {"small blocks",
       {.seed = random.Next(),
        .ops = 12000,
        .header = {.threads = threads(2, 3), .slots = 2000, .max_size = 1100, .max_live = 96 * kMiB}}},
      {"many threads",
       {.seed = random.Next(),
        .ops = 10000,
        .header = {.threads = threads(6, 8), .slots = threads(20, 200), .max_size = 4096, .max_live = 96 * kMiB},
        .forks = 1,
        .exchange = 4,
        .rare = 60}},
  };
}

// What is still in use when every block has been freed. Without adoption, heaps of threads that have ended keep their
// slabs for the next thread.
std::string FindLost(const op_stream::Allocator& allocator) {
  allocator.trim(0);
  const uint64_t blocks = huge::GetStatistics().blocks;
  const uint64_t slabs = g_options.tiny_ss_adopt != 0 ? pool::GetStatistics().active_slots : 0;
  if (blocks == 0 && slabs == 0) return "";
  return absl::StrCat("all blocks were freed, but ", blocks, " huge blocks and ", slabs, " slabs are in use");
}

}  // namespace

RoundResult RunRound(uint64_t seed, const op_stream::Allocator& allocator) {
  RoundResult result;
  for (const Load& load : LoadsOf(seed)) {
    const op_stream::Report report = op_stream::Execute(op_stream::MakeRandomStream(load.options), allocator);
    result.operations += report.operations;
    const std::string failure = report.ok() ? FindLost(allocator) : report.failures[0];
    if (failure.empty()) continue;
    result.failure = absl::StrCat(load.name, ": ", failure);
    break;
  }
  return result;
}

}  // namespace hakmem::soak
