#include "bench/tuning/class_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "hakmem/superslab/size_classes.h"

namespace hakmem::bench {

ClassTable::ClassTable(std::string name, std::vector<uint32_t> sizes)
    : name_(std::move(name)), sizes_(std::move(sizes)) {
  uint16_t index = 0;
  for (uint32_t size = 0; size <= sizes_.back(); size += 16) {
    while (sizes_[index] < size) ++index;
    class_of_sixteen_.push_back(index);
  }
}

ClassTable ClassTable::Stepped(uint32_t step, uint32_t last_step, uint32_t a_doubling) {
  std::vector<uint32_t> sizes;
  for (uint32_t size = step; size <= last_step; size += step) sizes.push_back(size);
  for (uint32_t base = last_step; base < kMaxClassed; base *= 2) {
    for (uint32_t i = 1; i <= a_doubling; ++i) {
      const uint32_t size = (base + static_cast<uint32_t>(uint64_t{base} * i / a_doubling) + 15) & ~15u;
      if (size != sizes.back() + 0 || i == a_doubling) sizes.push_back(size);
      if (sizes.size() > 1 && sizes[sizes.size() - 2] >= size) sizes.pop_back();
    }
    sizes.back() = base * 2;
  }
  std::string name = absl::StrCat("steps of ", step, " to ", last_step, ", ", a_doubling, " a doubling");
  return {std::move(name), std::move(sizes)};
}

ClassTable ClassTable::InUse() {
  std::vector<uint32_t> sizes;
  for (unsigned c = 1; c < kClasses; ++c) {
    if (IsClass(c)) sizes.push_back(kSizeClasses[c].block_size);
  }
  return {"in use", std::move(sizes)};
}

size_t ClassTable::ClassOf(uint32_t size) const {
  const size_t index = (size_t{size} + 15) / 16;
  return index < class_of_sixteen_.size() ? class_of_sixteen_[index] : sizes_.size();
}

double ClassTable::WorstWaste(uint32_t above) const {
  double worst = 0;
  uint32_t before = 0;
  for (const uint32_t size : sizes_) {
    const uint32_t least = std::max(before, above) + 1;
    if (least <= size) worst = std::max(worst, static_cast<double>(size - least) / size);
    before = size;
  }
  return worst;
}

Span SpanFor(uint32_t size, uint32_t slab) {
  const uint32_t most = static_cast<uint32_t>(kMaxClassed);
  const uint32_t least = (size + slab - 1) / slab * slab;
  const auto in_superslab = [size](uint32_t span) {
    return static_cast<uint32_t>(kSuperslabSize) / span * (span / size) * size;
  };
  uint32_t chosen = least;
  while (chosen < most && chosen % size > chosen / 16) chosen += slab;
  for (uint32_t shorter = least; shorter < chosen; shorter += slab) {
    if (in_superslab(shorter) >= in_superslab(chosen)) chosen = shorter;
  }
  return {chosen, chosen / size, chosen / size * size};
}

}  // namespace hakmem::bench
