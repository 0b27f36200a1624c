// Size classes to choose from, and what each of them wastes.
#ifndef HAKMEM_BENCH_TUNING_CLASS_TABLE_H_
#define HAKMEM_BENCH_TUNING_CLASS_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hakmem::bench {

// Block sizes in ascending order, up to half a superslab.
class ClassTable {
 public:
  ClassTable(std::string name, std::vector<uint32_t> sizes);

  // `step` bytes apart up to `last_step`, then `a_doubling` classes a doubling.
  static ClassTable Stepped(uint32_t step, uint32_t last_step, uint32_t a_doubling);

  // The table of the allocator itself.
  static ClassTable InUse();

  const std::string& name() const { return name_; }
  const std::vector<uint32_t>& sizes() const { return sizes_; }

  // Index of the class that serves `size`; sizes().size() when none is large enough.
  size_t ClassOf(uint32_t size) const;

  // The most that a size above `above` wastes, as a share of its block.
  double WorstWaste(uint32_t above) const;

  bool SameSizes(const ClassTable& other) const { return sizes_ == other.sizes_; }

 private:
  std::string name_;
  std::vector<uint32_t> sizes_;
  std::vector<uint16_t> class_of_sixteen_;  // by (size + 15) / 16
};

// The span that the allocator would choose for blocks of `size` with slabs of `slab` bytes: the shortest that fills
// superslabs as well as the shortest one that wastes at most a sixteenth at its end.
struct Span {
  uint32_t bytes;
  uint32_t capacity;
  double tail_waste() const { return 1 - static_cast<double>(used) / bytes; }
  uint32_t used;
};
Span SpanFor(uint32_t size, uint32_t slab);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_TUNING_CLASS_TABLE_H_
