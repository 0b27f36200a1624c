// Vectors that grow by realloc, several in turn: copying, growing in place and mremap make the difference.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"

ABSL_FLAG(int64_t, bytes, int64_t{1} << 30, "bytes in all that the vectors grow to together");
ABSL_FLAG(int64_t, vectors, 2, "vectors that grow in turn");
ABSL_FLAG(int64_t, rounds, 1, "how often they grow and are dropped");
ABSL_FLAG(int64_t, percent, 150, "a full vector grows to this percentage of its size");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "growing_vectors [flags]\n\n"
    "Appends numbers to vectors that grow by realloc. An operation is one number appended; numbers have 8 bytes.";

struct Vector {
  uint64_t* items = nullptr;
  size_t count = 0;
  size_t capacity = 0;
};

int Main(int argc, char** argv) {
  Load load("growing_vectors", kUsage, argc, argv);
  load.RefuseWords();
  const int64_t bytes = absl::GetFlag(FLAGS_bytes);
  const int64_t count = absl::GetFlag(FLAGS_vectors);
  const int64_t rounds = absl::GetFlag(FLAGS_rounds);
  const int64_t percent = absl::GetFlag(FLAGS_percent);
  CheckRange("bytes", bytes, 8, int64_t{1} << 40);
  CheckRange("vectors", count, 1, 1'000'000);
  CheckRange("rounds", rounds, 1, int64_t{1} << 40);
  CheckRange("percent", percent, 101, 10'000);

  const uint64_t wanted = static_cast<uint64_t>(bytes / count) / sizeof(uint64_t);
  std::vector<Vector> vectors(static_cast<size_t>(count));
  uint64_t reallocs = 0;
  load.Start();
  for (int64_t round = 0; round < rounds; ++round) {
    for (uint64_t next = 0; next < wanted;) {
      // Each vector gets a run of numbers before it is the next one's turn.
      const uint64_t end = next + 512 < wanted ? next + 512 : wanted;
      for (Vector& vector : vectors) {
        for (uint64_t value = next; value < end; ++value) {
          if (vector.count == vector.capacity) {
            vector.capacity = vector.capacity < 4 ? 4 : vector.capacity * static_cast<uint64_t>(percent) / 100 + 1;
            void* grown = std::realloc(vector.items, vector.capacity * sizeof(uint64_t));
            if (grown == nullptr) ReportNoMemory(vector.capacity * sizeof(uint64_t));
            vector.items = static_cast<uint64_t*>(grown);
            ++reallocs;
          }
          vector.items[vector.count++] = value ^ static_cast<uint64_t>(round);
        }
      }
      next = end;
    }
    for (Vector& vector : vectors) {
      for (uint64_t i = 0; i < vector.count; i += 61) {
        const uint64_t expected = i ^ static_cast<uint64_t>(round);
        if (vector.items[i] != expected) {
          ReportDamage(vector.items, vector.capacity * sizeof(uint64_t), i * sizeof(uint64_t), expected,
                       vector.items[i]);
        }
      }
      std::free(vector.items);
      vector = Vector();
    }
  }
  load.Finish(static_cast<uint64_t>(count * rounds) * wanted);
  load.Print("reallocs", static_cast<double>(reallocs));
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
