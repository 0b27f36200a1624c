// What hakmem knows of an address. The rooms above know; reports, which stand below them, ask through one function.
#ifndef HAKMEM_DIAG_ADDRESS_INFO_H_
#define HAKMEM_DIAG_ADDRESS_INFO_H_

#include <cstddef>
#include <cstdint>

namespace hakmem {

struct AddressInfo {
  enum class Place : uint8_t {
    kForeign,      // not hakmem's
    kBookkeeping,  // hakmem's metadata
    kUnused,       // hakmem's address space, where no block is now
    kSlab,         // in a slab, in use or not any more
    kHuge,         // in a huge block
  };
  enum class State : uint8_t {
    kUnknown,
    kLive,       // with the program
    kFree,       // free: in a list, in its slab, or its slab is not in use any more
    kNeverUsed,  // was never handed out since the slab began
    kNoBlock,    // behind the last block of the slab
  };

  Place place = Place::kForeign;
  State state = State::kUnknown;
  uint64_t block = 0;       // its start; 0: none
  uint64_t block_size = 0;  // usable bytes
  uint64_t asked_size = 0;  // what the program asked for, where that is kept (guard builds); 0: not known
  uint64_t superslab = 0;
  uint64_t slab = 0;
  uint64_t slab_size = 0;
  uint32_t block_index = 0;
  uint32_t size_class = 0;
  bool slab_in_use = false;
  uint32_t owner = 0;         // heap; 0: nobody
  bool owner_driven = false;  // a thread drives the heap
  uint32_t owner_thread = 0;  // its number; 0: it cannot be told
};

// Fills `info`; async-signal-safe, reads nothing that may not be there, and is bounded in time.
using Describer = void (*)(const void* p, AddressInfo* info);

// Set once, before the first allocation is served.
void SetDescriber(Describer describer);

// Without a describer every address is foreign.
AddressInfo Describe(const void* p);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_ADDRESS_INFO_H_
