// Which sizes a program asks for, how often, and how long they live: all that inner waste depends on.
#ifndef HAKMEM_BENCH_TUNING_SIZES_H_
#define HAKMEM_BENCH_TUNING_SIZES_H_

#include <cstdint>
#include <map>
#include <string>

#include "bench/tuning/class_table.h"
#include "bench/tuning/recording.h"

namespace hakmem::bench {

struct SizeUse {
  uint64_t blocks = 0;
  uint64_t alive = 0;  // sum of their lives, in calls of the program
};

struct Sizes {
  std::string name;
  std::map<uint32_t, SizeUse> by_size;
};

Sizes CountSizes(const Recording& recording);

// Bytes wasted inside blocks as a share of all bytes in blocks, each weighed by the time that it is alive. Blocks above
// the last class are left out: they are the large allocator's.
double InnerWaste(const Sizes& sizes, const ClassTable& table);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_TUNING_SIZES_H_
