// Which allocator serves this process: looked up, not assumed. A load that reports figures for hakmem without this
// proof may have measured the C library.
#ifndef HAKMEM_BENCH_HARNESS_ALLOCATOR_PROOF_H_
#define HAKMEM_BENCH_HARNESS_ALLOCATOR_PROOF_H_

#include <string>

namespace hakmem::bench {

struct AllocatorProof {
  std::string object;   // path of the object that defines the malloc in use, as the dynamic linker knows it
  std::string version;  // hak_version() of that object, empty when it has none
  std::string peer;     // name of the allocator, with its version where it tells one: by functions that only it has
  bool hakmem = false;  // hakmem's malloc is in use, and hak_owns() confirms blocks of malloc, calloc and operator new
  std::string failure;  // why the proof fails: a part of malloc's set is another's, or hakmem is there and not in use
};

// Asks the dynamic linker (dladdr, dlsym) and allocates a few blocks.
AllocatorProof ProveAllocator();

// Does the proof agree with `expected`: "" or "any" agrees always, "hakmem" needs proof.hakmem, another word has to be
// part of the object's file name, and all of malloc's set has to come from that object.
bool Agrees(const AllocatorProof& proof, const std::string& expected);

// One line for people: the object, and what it says about itself.
std::string Describe(const AllocatorProof& proof);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_ALLOCATOR_PROOF_H_
