// What bounds on a thread's lists cost: a program's blocks of classes with lists, moved between lists, batches and
// slabs as a heap of the allocator moves them (hakmem/tiny/refill.cc), in one thread and without memory behind them.
#ifndef HAKMEM_BENCH_TUNING_LIST_SIMULATION_H_
#define HAKMEM_BENCH_TUNING_LIST_SIMULATION_H_

#include <cstddef>
#include <cstdint>

#include "bench/tuning/recording.h"
#include "hakmem/superslab/size_classes.h"

namespace hakmem::bench {

struct ListBounds {
  size_t list_bytes;         // most bytes in one free list
  size_t list_blocks;        // most blocks in one
  size_t batch_bytes;        // set aside of one class
  size_t all_batches_bytes;  // set aside of all classes
  bool operator==(const ListBounds&) const = default;
};

// What the allocator itself has.
ListBounds BoundsInUse();
inline constexpr uint32_t kSlabInUse = kSlabSize;

struct ListCosts {
  uint64_t operations = 0;    // mallocs and frees of classes with lists
  uint64_t refills = 0;       // lists filled from a slab
  uint64_t takeovers = 0;     // lists and batches taken back whole
  uint64_t given_back = 0;    // blocks that went back to their slabs one by one
  uint64_t listed_bytes = 0;  // most bytes that lay free in lists and batches
  uint64_t slabs = 0;         // spans entered
  double resident = 0;        // bytes of slabs in use that were ever handed out, in the mean over time
  double asked = 0;           // bytes that the program asked for, likewise
};

// `slab`: bytes, the unit of spans.
ListCosts SimulateLists(const Recording& recording, const ListBounds& bounds, uint32_t slab);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_TUNING_LIST_SIMULATION_H_
