#include "bench/tuning/sizes.h"

#include <algorithm>
#include <vector>

namespace hakmem::bench {

Sizes CountSizes(const Recording& recording) {
  Sizes sizes;
  sizes.name = recording.name;
  struct Life {
    uint32_t size;
    uint64_t start;
  };
  std::vector<Life> lives(recording.slots, {Use::kEnd, 0});
  uint64_t now = 0;
  const auto end = [&](Life* life) {
    if (life->size != Use::kEnd) sizes.by_size[life->size].alive += now - life->start;
    life->size = Use::kEnd;
  };
  for (const Use& use : recording.uses) {
    ++now;
    Life* life = &lives[use.slot];
    end(life);
    if (use.size == Use::kEnd) continue;
    *life = {use.size, now};
    ++sizes.by_size[use.size].blocks;
  }
  for (Life& life : lives) end(&life);
  return sizes;
}

double InnerWaste(const Sizes& sizes, const ClassTable& table) {
  double wasted = 0;
  double all = 0;
  for (const auto& [size, use] : sizes.by_size) {
    // malloc(0) gets the smallest block.
    const size_t c = table.ClassOf(std::max(size, 1u));
    if (c == table.sizes().size()) continue;
    wasted += static_cast<double>(table.sizes()[c] - size) * static_cast<double>(use.alive);
    all += static_cast<double>(table.sizes()[c]) * static_cast<double>(use.alive);
  }
  return all == 0 ? 0 : wasted / all;
}

}  // namespace hakmem::bench
