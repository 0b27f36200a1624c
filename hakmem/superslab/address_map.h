// From an address to what stands there, without ever reading behind the address.
//
// Two maps. The tags, one 32-bit word for each 64 KiB of the window, are what free() reads: a tag is the distance, in
// units of 8 bytes from the window's base, of the free list that blocks of this slab go to: heap and size class in one
// number. 0 stands for everything else: not a slab, no owner, or a class without lists; the word found there is never a
// free list in use. The regions, a pointer for each 2 MiB, serve every slower path, inside the window and outside.
//
// A tag is written by the slab's owner only. A thread that reads a tag of its own heap may trust it: it wrote the tag,
// and would have taken it away before it gave the slab up. A thread that reads any other value goes the slow way, which
// trusts the remote word alone.
#ifndef HAKMEM_SUPERSLAB_ADDRESS_MAP_H_
#define HAKMEM_SUPERSLAB_ADDRESS_MAP_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/superslab/slab.h"

namespace hakmem::address_map {

inline constexpr uint32_t kNoTag = 0;

// Of an address that can be entered. Linux gives programs on x86-64 addresses of 47 bits, and on aarch64 of 48; beyond
// that, where there is more, only to those that ask for it.
inline constexpr unsigned kAddressBits = 48;

inline uint32_t* TagOf(const void* p) {
  return reinterpret_cast<uint32_t*>(g_window_base) + (WindowOffset(p) >> kSlabShift);
}

// Tags all pieces of a slab that the caller owns. Nothing to do for a slab outside the window.
inline void SetTags(const Slab& slab, uint32_t tag) {
  if (!InWindow(slab.base())) return;
  uint32_t* tags = TagOf(slab.base());
  const size_t span = slab.span();
  for (size_t i = 0; i < span; ++i) {
    // Relaxed: a reader that is not the owner goes the slow way whatever it sees; see above.
    __atomic_store_n(&tags[i], tag, __ATOMIC_RELAXED);
  }
}

// The tag of a slab that the caller owns.
inline uint32_t TagOfSlab(const Slab& slab) {
  // Relaxed: the owner's own.
  return InWindow(slab.base()) ? __atomic_load_n(TagOf(slab.base()), __ATOMIC_RELAXED) : kNoTag;
}

// The region in which `p` lies, nullptr for foreign addresses. Any value may be asked for.
Region* RegionOf(const void* p);

// Enters `region`, `pieces` superslabs long, or takes it out (nullptr). False without memory for the map.
[[nodiscard]] bool Enter(Region* region, size_t pieces);
void Remove(const void* base, size_t pieces);

// The slab in use that holds `p`, nullptr when there is none.
Slab* SlabOf(const void* p);

}  // namespace hakmem::address_map

#endif  // HAKMEM_SUPERSLAB_ADDRESS_MAP_H_
