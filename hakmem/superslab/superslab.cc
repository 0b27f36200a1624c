#include <cstddef>

#include "hakmem/superslab/slab.h"

namespace hakmem {

Slab* Slab::FromAdoption(AdoptionNode* node) {
  // Slab is not a standard-layout type; for a class without virtual bases GCC and Clang define offsetof all the same.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
  return reinterpret_cast<Slab*>(reinterpret_cast<char*>(node) - offsetof(Slab, adoption_));
#pragma GCC diagnostic pop
}

void Superslab::Prepare(char* address, bool is_dirty) {
  SetBase(address);
  for (unsigned i = 0; i < kSlabsPerSuperslab; ++i) {
    slabs[i].base_ = address + i * kSlabSize;
    slabs[i].superslab_ = this;
    slabs[i].index_ = static_cast<uint8_t>(i);
    slabs[i].remote_.Reset(kRetired);
    head_delta[i] = 0;
  }
  // Relaxed: nobody else looks for a superslab before it is entered into the address map, but through the registry,
  // which does not forget one; who comes that way finds no UNUSED slot.
  dirty.store(is_dirty ? ~0u : 0u, std::memory_order_relaxed);
  purged.store(0, std::memory_order_relaxed);  // as above
  empty.store(0, std::memory_order_relaxed);   // as above
  active.store(0, std::memory_order_relaxed);  // as above
  // None: metadata that lives again can be reached by who remembers it from before, and who finds an UNUSED slot takes
  // it.
  unused.store(0, std::memory_order_relaxed);               // as above
  kind.store(Kind::kSuperslab, std::memory_order_relaxed);  // as above
}

}  // namespace hakmem
