#include "bench/tuning/sizes.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

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

std::string ToText(const Sizes& sizes) {
  std::vector<std::pair<double, uint32_t>> weights;
  double all = 0;
  for (const auto& [size, use] : sizes.by_size) {
    weights.emplace_back(static_cast<double>(size) * static_cast<double>(use.alive), size);
    all += weights.back().first;
  }
  std::sort(weights.begin(), weights.end());
  std::vector<uint32_t> left_out;
  double sum = 0;
  for (const auto& [weight, size] : weights) {
    sum += weight;
    if (sum > all / 1000) break;
    left_out.push_back(size);
  }
  std::sort(left_out.begin(), left_out.end());
  std::string text = absl::StrCat("program ", sizes.name, "\n");
  for (const auto& [size, use] : sizes.by_size) {
    if (std::binary_search(left_out.begin(), left_out.end(), size)) continue;
    absl::StrAppend(&text, size, " ", use.blocks, " ", use.alive, "\n");
  }
  return text;
}

bool FromText(const std::string& text, Sizes* sizes, std::string* fault) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line.rfind("program ", 0) != 0) {
    *fault = "the first line does not name a program";
    return false;
  }
  *sizes = {line.substr(8), {}};
  while (std::getline(lines, line)) {
    uint32_t size = 0;
    SizeUse use;
    char rest = 0;
    if (std::sscanf(line.c_str(), "%" SCNu32 " %" SCNu64 " %" SCNu64 "%c", &size, &use.blocks, &use.alive, &rest) !=
        3) {
      *fault = absl::StrCat("'", line, "' is not a size, a number of blocks and a time");
      return false;
    }
    sizes->by_size[size] = use;
  }
  return true;
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
