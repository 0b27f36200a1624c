#include "bench/harness/allocator_proof.h"

#include <dlfcn.h>

#include <cstdlib>
#include <initializer_list>
#include <new>

#include "absl/strings/str_cat.h"

// Weak: absent unless hakmem is preloaded or linked in. A hakmem linked statically is not seen by dlsym.
extern "C" {
__attribute__((weak)) const char* hak_version() noexcept;
__attribute__((weak)) int hak_owns(const void* ptr) noexcept;
}

namespace hakmem::bench {
namespace {

template <typename Function>
Function* Resolve(const char* name, Function* linked) {
  void* found = dlsym(RTLD_DEFAULT, name);
  return found != nullptr ? reinterpret_cast<Function*>(found) : linked;
}

std::string ObjectOf(void* address) {
  Dl_info info;
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "unknown";
  return info.dli_fname;
}

// "2.4.3" of 20403 or of 243: older and newer ways of mimalloc to say the same.
std::string MimallocVersion(int number) {
  const int step = number >= 10'000 ? 100 : 10;
  return absl::StrCat(number / step / step, ".", number / step % step, ".", number % step);
}

// Functions that one allocator alone has. They name the object that defines malloc only when it defines them too.
std::string PeerIn(const std::string& object) {
  const auto find = [&object](const char* name) -> void* {
    void* found = dlsym(RTLD_DEFAULT, name);
    return found != nullptr && ObjectOf(found) == object ? found : nullptr;
  };
  if (void* found = find("mi_version")) {
    return absl::StrCat("mimalloc ", MimallocVersion(reinterpret_cast<int (*)()>(found)()));
  }
  if (void* found = find("mallctl")) {
    const char* version = nullptr;
    size_t size = sizeof(version);
    auto* ask = reinterpret_cast<int (*)(const char*, void*, size_t*, void*, size_t)>(found);
    if (ask("version", &version, &size, nullptr, 0) == 0) return absl::StrCat("jemalloc ", version);
    return "jemalloc";
  }
  if (void* found = find("tc_version")) {
    int major = 0;
    int minor = 0;
    const char* patch = nullptr;
    reinterpret_cast<const char* (*)(int*, int*, const char**)>(found)(&major, &minor, &patch);
    return absl::StrCat("gperftools ", major, ".", minor);
  }
  if (void* found = find("gnu_get_libc_version")) {
    return absl::StrCat("glibc ", reinterpret_cast<const char* (*)()>(found)());
  }
  if (find("MallocExtension_Internal_GetNumericProperty") != nullptr) return "google tcmalloc";
  if (find("rpmalloc") != nullptr) return "rpmalloc";
  if (find("__TBB_malloc_proxy") != nullptr) return "tbbmalloc";
  if (find("__scudo_print_stats") != nullptr) return "scudo";
  return "";
}

// A library that defines malloc but not all that goes with it mixes two heaps. Empty when all of the set is `object`'s.
std::string MissingFrom(const std::string& object) {
  for (const char* name : {"calloc", "realloc", "free", "posix_memalign", "aligned_alloc", "malloc_usable_size"}) {
    void* address = dlsym(RTLD_DEFAULT, name);
    if (address != nullptr && ObjectOf(address) != object) {
      return absl::StrCat(name, " comes from ", ObjectOf(address), ", malloc from ", object);
    }
  }
  return "";
}

}  // namespace

AllocatorProof ProveAllocator() {
  AllocatorProof proof;
  void* malloc_address = dlsym(RTLD_DEFAULT, "malloc");
  proof.object = ObjectOf(malloc_address != nullptr ? malloc_address : reinterpret_cast<void*>(&malloc));
  // A program with an allocator linked in may not show its malloc to the dynamic linker; the rest is then unseen, too.
  if (malloc_address != nullptr) proof.failure = MissingFrom(proof.object);

  auto* version = Resolve("hak_version", &hak_version);
  auto* owns = Resolve("hak_owns", &hak_owns);
  if (version == nullptr) {
    proof.peer = PeerIn(proof.object);
    return proof;
  }
  proof.version = version();
  if (owns == nullptr) {
    proof.failure = "hak_version is there, hak_owns is not";
    return proof;
  }
  if (ObjectOf(reinterpret_cast<void*>(version)) != proof.object) {
    proof.failure = absl::StrCat("hak_version comes from ", ObjectOf(reinterpret_cast<void*>(version)),
                                 ", malloc from ", proof.object);
    return proof;
  }
  // Each size takes another way through an allocator: small, large, own mapping.
  for (const size_t size : {size_t{1}, size_t{100}, size_t{40'000}, size_t{300'000}, size_t{5'000'000}}) {
    void* from_malloc = std::malloc(size);
    void* from_calloc = std::calloc(1, size);
    void* from_new = ::operator new(size, std::nothrow);
    if (owns(from_malloc) != 1)
      proof.failure = absl::StrCat("malloc(", size, ") gave a block that hakmem does not own");
    if (owns(from_calloc) != 1) proof.failure = absl::StrCat("calloc(1, ", size, ") gave a block of another allocator");
    if (owns(from_new) != 1) proof.failure = absl::StrCat("operator new(", size, ") gave a block of another allocator");
    std::free(from_malloc);
    std::free(from_calloc);
    ::operator delete(from_new);
  }
  int on_stack = 0;
  if (owns(&on_stack) != 0) proof.failure = "hak_owns claims the stack";
  proof.hakmem = proof.failure.empty();
  return proof;
}

bool Agrees(const AllocatorProof& proof, const std::string& expected) {
  if (expected.empty() || expected == "any") return true;
  if (expected == "hakmem") return proof.hakmem;
  return proof.failure.empty() && proof.object.substr(proof.object.rfind('/') + 1).find(expected) != std::string::npos;
}

std::string Describe(const AllocatorProof& proof) {
  if (proof.hakmem) return absl::StrCat(proof.version, " in ", proof.object);
  if (!proof.failure.empty()) return absl::StrCat(proof.object, " (refused: ", proof.failure, ")");
  return proof.peer.empty() ? proof.object : absl::StrCat(proof.peer, " in ", proof.object);
}

}  // namespace hakmem::bench
