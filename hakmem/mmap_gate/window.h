// The address window: one stretch of address space in which all superslabs of the process stand next to each other.
//
//     base                                                                           base + kWindowSize
//     | address map | heaps and metadata, growing upwards | superslabs and huge blocks, lowest first  |
//     0             64 MiB                                kFrontSize
//
// Nothing is reserved ahead but the address map (64 MiB of address space, touched where it is used), so neighbouring
// mappings merge into few kernel areas and the virtual size stays small. The base is random. Its size is a constant, so
// that the bound check of free() is an instruction with an immediate operand; a machine with more memory than the
// window goes on outside of it, through the slower path.
#ifndef HAKMEM_MMAP_GATE_WINDOW_H_
#define HAKMEM_MMAP_GATE_WINDOW_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/compiler.h"

namespace hakmem {

inline constexpr unsigned kSlabShift = 16;
inline constexpr unsigned kSuperslabShift = 21;
inline constexpr size_t kSlabSize = size_t{1} << kSlabShift;
inline constexpr size_t kSuperslabSize = size_t{1} << kSuperslabShift;
inline constexpr unsigned kSlabsPerSuperslab = kSuperslabSize / kSlabSize;

// The thread sanitizer leaves a program about 1.5 TiB in one piece; a smaller window always fits.
#if defined(HAK_TSAN)
inline constexpr size_t kWindowSize = size_t{1} << 37;
inline constexpr size_t kFrontSize = size_t{1} << 33;
#else
inline constexpr size_t kWindowSize = size_t{1} << 40;
inline constexpr size_t kFrontSize = size_t{1} << 35;
#endif
inline constexpr size_t kWindowSlabs = kWindowSize / kSlabSize;
inline constexpr uint32_t kWindowSuperslabs = kWindowSize / kSuperslabSize;
inline constexpr uint32_t kFirstSuperslab = kFrontSize / kSuperslabSize;
inline constexpr size_t kAddressMapSize = kWindowSlabs * sizeof(uint32_t);

// Without a window: an address that no pointer of a program is near.
inline constexpr uintptr_t kNoWindow = 0x8001'0000'0000'0000;

// Base of the window. Constant once the first allocation is served.
extern uintptr_t g_window_base HAK_HIDDEN;
// Base of the address map, which free() reads first: that of the window. Without a window it is that of an empty map,
// in which free() finds, for whatever pointer passes the bound check, a list that is in nobody's use; where memory for
// that cannot be had either, kNoWindow, where every pointer that a program can have come by honestly fails the bound
// check.
extern uintptr_t g_map_base HAK_HIDDEN;

inline bool HasWindow() { return g_window_base != kNoWindow; }
HAK_ALWAYS_INLINE size_t WindowOffset(const void* p) { return reinterpret_cast<uintptr_t>(p) - g_window_base; }
HAK_ALWAYS_INLINE bool InWindow(const void* p) { return WindowOffset(p) < kWindowSize; }
inline void* WindowAddress(uint32_t superslab) {
  return reinterpret_cast<void*>(g_window_base + (static_cast<uintptr_t>(superslab) << kSuperslabShift));
}

}  // namespace hakmem

#endif  // HAKMEM_MMAP_GATE_WINDOW_H_
