// Which of the free runs is taken: the lowest of idle pieces, or else the lowest of all. Held against a search that
// looks at each piece.

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/arena_test.h"
#include "hakmem/page_arena/page_arena.h"

namespace hakmem::arena {
namespace {

struct Stretch {
  size_t first;  // of the pieces for blocks
  size_t count;
};

char* AddressOf(size_t piece) {
  return static_cast<char*>(WindowAddress(static_cast<uint32_t>(kFirstSuperslab + piece)));
}

// What the arena knows, in plain words.
class Pieces {
 public:
  Stretch Find(size_t count, size_t step) const {
    for (const bool only_idle : {true, false}) {
      size_t length = 0;
      for (size_t i = 0; i < taken_.size(); ++i) {
        length = !taken_[i] && (dirty_[i] || !only_idle) ? length + 1 : 0;
        if (length < count) continue;
        const size_t first = i + 1 - count;
        if (reinterpret_cast<uintptr_t>(AddressOf(first)) % (step * kPiece) == 0) return {first, count};
      }
    }
    return {0, 0};
  }
  void Take(Stretch run) { Set(taken_, run, true); }
  void Release(Stretch run, bool purged) {
    Set(taken_, run, false);
    Set(dirty_, run, !purged);
  }
  void PurgeIdle() {
    for (size_t i = 0; i < taken_.size(); ++i) dirty_[i] = dirty_[i] && taken_[i];
  }

 private:
  static void Set(std::vector<bool>& bits, Stretch run, bool value) {
    std::fill_n(bits.begin() + static_cast<ptrdiff_t>(run.first), run.count, value);
  }
  std::vector<bool> taken_ = std::vector<bool>(16384);
  std::vector<bool> dirty_ = std::vector<bool>(16384);
};

using RunsTest = ArenaTest;

TEST_F(RunsTest, OfAllLengthsAtAllPlacesInAWord) {
  constexpr size_t kAll = 640;
  for (const bool purged : {false, true}) {
    for (const size_t count : {1, 2, 3, 31, 32, 33, 63, 64, 65, 66, 127, 128, 129, 200}) {
      for (const size_t first : {256, 257, 287, 288, 318, 319}) {
        ASSERT_EQ(Acquire(kAll, kPiece), AddressOf(0));
        const auto release = purged ? ReleasePurged : Release;
        // One below that is too short by a piece.
        if (count > 1) release(AddressOf(first - count), count - 1);
        release(AddressOf(first), count);
        ASSERT_EQ(Acquire(count, kPiece), AddressOf(first)) << count << " at " << first;
        if (count > 1) {
          ASSERT_EQ(Acquire(count - 1, kPiece), AddressOf(first - count)) << count << " at " << first;
        }
        Release(AddressOf(0), kAll);
      }
    }
  }
}

TEST_F(RunsTest, AsASearchPieceByPieceFindsThem) {
  std::mt19937 random(1);
  const auto below = [&random](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  Pieces pieces;
  std::vector<Stretch> held;
  size_t held_pieces = 0;
  size_t most = 1500;
  for (int step = 0; step < 20'000; ++step) {
    // Full and empty in turn, so that holes come and go.
    if (step % 500 == 0) most = step % 1000 == 0 ? 1500 : 400;
    if (held_pieces < most) {
      const size_t kind = below(16);
      const size_t count = 1 + below(kind == 0 ? 200 : kind < 4 ? 40 : kind < 10 ? 5 : 1);
      const size_t alignment = below(8) == 0 ? size_t{2} << below(5) : 1;
      const Stretch expected = pieces.Find(count, alignment);
      ASSERT_EQ(expected.count, count);
      ASSERT_EQ(Acquire(count, alignment * kPiece), AddressOf(expected.first))
          << "step " << step << ": " << count << " aligned to " << alignment;
      pieces.Take(expected);
      held.push_back(expected);
      held_pieces += count;
    }
    while (held_pieces >= most || (!held.empty() && below(3) == 0)) {
      std::swap(held[below(held.size())], held.back());
      Stretch run = held.back();
      held.pop_back();
      // Now and then the first part only.
      if (run.count > 1 && below(3) == 0) {
        const size_t part = 1 + below(run.count - 1);
        held.push_back({run.first + part, run.count - part});
        run.count = part;
      }
      const bool purged = below(4) == 0;
      purged ? ReleasePurged(AddressOf(run.first), run.count) : Release(AddressOf(run.first), run.count);
      pieces.Release(run, purged);
      held_pieces -= run.count;
    }
    if (below(300) == 0) {
      PurgeIdle(SIZE_MAX);
      pieces.PurgeIdle();
    }
  }
  for (const Stretch& run : held) Release(AddressOf(run.first), run.count);
}

}  // namespace
}  // namespace hakmem::arena
