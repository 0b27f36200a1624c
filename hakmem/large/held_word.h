// Whether the program has a huge block, in one word: the block's start while it has it, nullptr while nobody does, or
// while somebody resizes it.
//
// A block's metadata lives again, for a block elsewhere, while threads that free or resize the former one a second time
// may still be on their way to it. The word decides for these as well: it is taken by the start of the block that is
// meant, or not at all.
//
// The class is a template over its atomic so that a test can put a scheduler underneath.
#ifndef HAKMEM_LARGE_HELD_WORD_H_
#define HAKMEM_LARGE_HELD_WORD_H_

#include <atomic>

namespace hakmem::huge {

template <template <class> class Atomic = std::atomic>
class BasicHeldWord {
 public:
  // The program has the block that starts at `start`, from now on or again.
  void Give(char* start) {
    word_.store(start, std::memory_order_release);  // who takes the block sees it as we leave it
  }

  // Takes the block that starts at `start`: its metadata are the caller's. Of all who try it at once one succeeds.
  [[nodiscard]] bool Take(char* start) {
    // Acquire: sees the block as whoever made or resized it left it. What the taker does to it others learn by the
    // lock of the spares, or by Give.
    return word_.compare_exchange_strong(start, nullptr, std::memory_order_acquire, std::memory_order_relaxed);
  }

  bool Is(const char* start) const { return word_.load(std::memory_order_relaxed) == start; }  // a look

 private:
  Atomic<char*> word_{nullptr};
};

using HeldWord = BasicHeldWord<>;

}  // namespace hakmem::huge

#endif  // HAKMEM_LARGE_HELD_WORD_H_
