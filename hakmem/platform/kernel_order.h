// What the kernel orders, told to the thread sanitizer, which does not see raw system calls.
//
// Addresses that one thread unmaps, the kernel may give to another thread's mapping without any atomic operation of
// ours between the two; the kernel's own lock of the address space orders them. Without being told so, the sanitizer
// takes what the first did to the old memory and what the second does to the new one for a race. In other builds
// nothing of this is compiled.
#ifndef HAKMEM_PLATFORM_KERNEL_ORDER_H_
#define HAKMEM_PLATFORM_KERNEL_ORDER_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/compiler.h"

#if defined(HAK_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace hakmem::os {

#if defined(HAK_TSAN)

// Told by pieces of 2 MiB, so that mappings which have nothing to do with each other mostly stay unordered. A piece is
// stood for by one of a few variables, since the sanitizer takes memory for each that it has been told of.
inline constexpr unsigned kPieceShift = 21;
inline constexpr size_t kStandIns = 512;
inline char stand_ins[kStandIns * 8] = {};

template <class Tell>
void ForEachPiece(const void* p, size_t size, Tell tell) {
  const uintptr_t first = reinterpret_cast<uintptr_t>(p) >> kPieceShift;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(p) + size - 1) >> kPieceShift;
  for (uintptr_t piece = first; piece <= last && piece < first + kStandIns; ++piece) {
    tell(&stand_ins[piece % kStandIns * 8]);
  }
}

// Before the addresses are given to the kernel, and after they were had from it.
inline void AddressesLeave(const void* p, size_t size) { ForEachPiece(p, size, __tsan_release); }
inline void AddressesArrive(const void* p, size_t size) { ForEachPiece(p, size, __tsan_acquire); }

#else

inline void AddressesLeave(const void*, size_t) {}
inline void AddressesArrive(const void*, size_t) {}

#endif

}  // namespace hakmem::os

#endif  // HAKMEM_PLATFORM_KERNEL_ORDER_H_
