// Which allocator serves this process: looked up, not assumed. A load that reports figures for hakmem without this
// proof may have measured the C library.
#ifndef HAKMEM_BENCH_HARNESS_ALLOCATOR_PROOF_H_
#define HAKMEM_BENCH_HARNESS_ALLOCATOR_PROOF_H_

#include <string>

namespace hakmem::bench {

struct AllocatorProof {
  std::string object;   // path of the object that defines the malloc in use, as the dynamic linker knows it
  std::string version;  // hak_version() of that object, empty when it has none
  bool hakmem = false;  // hakmem's malloc is in use, and hak_owns() confirms blocks of malloc, calloc and operator new
  std::string failure;  // why `hakmem` is false although hak_version() exists
};

// Asks the dynamic linker (dladdr, dlsym) and allocates a few blocks.
AllocatorProof ProveAllocator();

// Does the proof agree with `expected`: "" or "any" agrees always, "hakmem" needs proof.hakmem, another word has to be
// part of the object's file name.
bool Agrees(const AllocatorProof& proof, const std::string& expected);

// One line for people: the object, and for hakmem its version.
std::string Describe(const AllocatorProof& proof);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_ALLOCATOR_PROOF_H_
