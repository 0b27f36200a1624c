// The clock of recordings: one for all threads, cheap to read, of a rate that the recording lets readers find out.
#ifndef HAKMEM_TRACE_TICK_H_
#define HAKMEM_TRACE_TICK_H_

#include <cstdint>

namespace hakmem::trace {

#if defined(__x86_64__)

// Units of 16 cycles: most calls of a thread then follow each other within the 128 units that fit a byte. Two threads
// cannot pass a block on within one.
inline constexpr unsigned kTickShift = 4;

// Taken after all earlier loads and before any later store can be seen by others. Stores leave in the order of the
// instructions; but without the fence the processor may read its counter ahead of loads (Intel's manual, RDTSC), such
// as the one by which another thread handed a block over that is freed now.
inline uint64_t Tick() {
  __builtin_ia32_lfence();
  return __builtin_ia32_rdtsc() >> kTickShift;
}

#elif defined(__aarch64__)

// The architecture's counter, which may be read ahead of time unless barriers stand before it: for loads, then for it.
inline uint64_t Tick() {
  uint64_t count;
  __asm__ volatile("dsb ld\n\tisb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(count)::"memory");
  return count;
}

#endif

}  // namespace hakmem::trace

#endif  // HAKMEM_TRACE_TICK_H_
