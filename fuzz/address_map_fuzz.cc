// The address map and the geometry of slabs, with hostile pointers given to free and its like.
//
// The process goes on after a report (HAKMEM_ON_ERROR=continue), and the reports go to a file in memory, whose size
// tells whether there was one. A hostile pointer must be reported and change nothing; a good one must not be reported.
//
// In release builds blocks are not tracked: there only what the address map and the remote word decide is promised, so
// second frees and interior pointers of small blocks are left out.

#include <hakmem/hakmem.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "fuzz/input.h"
#include "hakmem/config/options.h"
#include "hakmem/guard/guard.h"
#include "hakmem/platform/build.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem {
namespace {

int report_fd = -1;

void Prepare() {
  if (report_fd >= 0) return;
  hak_free(hak_malloc(1));
  report_fd = memfd_create("reports", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(report_fd);
  g_options.report = path.c_str();
  g_options.on_error = static_cast<uint64_t>(OnError::kContinue);
}

// Whether there was a report since the last call.
bool Reported() {
  struct stat status;
  FUZZ_CHECK(fstat(report_fd, &status) == 0);
  FUZZ_CHECK(ftruncate(report_fd, 0) == 0);
  return status.st_size != 0;
}

struct Held {
  char* p = nullptr;
  size_t size = 0;
  char mark = 0;
};

class Run {
 public:
  explicit Run(fuzz::Input input) : input_(input) {}

  void All() {
    while (!input_.done()) {
      Step();
      for (const Held& held : held_) Check(held);
    }
    for (Held& held : held_) Free(held);
  }

 private:
  void Check(const Held& held) {
    if (held.p == nullptr) return;
    FUZZ_CHECK(held.p[0] == held.mark && held.p[held.size - 1] == held.mark);
  }

  void Free(Held& held) {
    if (held.p == nullptr) return;
    if (input_.Byte() % 2 == 0) {
      hak_free(held.p);
    } else {
      hak_free_sized(held.p, held.size);
    }
    FUZZ_CHECK(!Reported());
    last_freed_ = held.p;
    held = {};
  }

  void Allocate(Held& held) {
    static constexpr size_t kSizes[] = {1, 24, 100, 1024, 1025, 5000, 40000, 70000, 300000, size_t{1} << 20, 3 << 20};
    const size_t size = kSizes[input_.Below(sizeof(kSizes) / sizeof(kSizes[0]))];
    char* p = static_cast<char*>(hak_malloc(size));
    FUZZ_CHECK(p != nullptr && !Reported());
    held = {p, size, static_cast<char>(input_.Byte())};
    p[0] = p[size - 1] = held.mark;
    FUZZ_CHECK(hak_usable_size(p) >= size);
    CheckGeometry(held);
    for (Held& other : held_) {
      if (&other == &held || other.p == nullptr) continue;
      FUZZ_CHECK(p + size <= other.p || other.p + other.size <= p);
    }
    if (last_freed_ == p) last_freed_ = nullptr;
  }

  // Every address inside a block leads to its slab, and only its first is a block's.
  void CheckGeometry(const Held& held) {
    const Region* region = address_map::RegionOf(held.p);
    FUZZ_CHECK(region != nullptr);
    const size_t usable = hak_usable_size(held.p);
    const char* inside = held.p + input_.Below(usable);
    FUZZ_CHECK(address_map::RegionOf(inside) == region);
    FUZZ_CHECK(hak_owns(inside) == 1);
    Slab* slab = address_map::SlabOf(held.p);
    const size_t padded = guard::Padded(held.size);
    if (padded > kMaxClassed) {
      FUZZ_CHECK(slab == nullptr && region->base() == held.p);
      return;
    }
    FUZZ_CHECK(slab != nullptr && address_map::SlabOf(inside) == slab);
    FUZZ_CHECK(slab->Contains(inside) && slab->IsBlockStart(held.p));
    FUZZ_CHECK(slab->IsBlockStart(inside) == (inside == held.p));
    FUZZ_CHECK(slab->size_class() == ClassOfSize(padded));
    FUZZ_CHECK(kGuardBuild ? usable == held.size : usable == slab->block_size());
    // The index of a block, computed twice: by the distance, and by walking pieces of 64 KiB.
    FUZZ_CHECK(&slab->superslab() == region);
    FUZZ_CHECK(slab->base() == slab->superslab().base() + slab->index() * kSlabSize);
  }

  // An address that no block starts at.
  void* Hostile(const Held& near) {
    const unsigned kind = input_.Byte() % 8;
    const uint64_t number = input_.Number(8);
    switch (kind) {
      case 0: return reinterpret_cast<void*>(number);
      case 1: return reinterpret_cast<void*>(number & 0x7fff'ffff'ffff);
      case 2: return reinterpret_cast<void*>(g_window_base + number % kWindowSize);
      case 3: return reinterpret_cast<void*>(g_window_base + number % kFrontSize);
      case 4: return reinterpret_cast<void*>(g_window_base + kWindowSize + number % (size_t{1} << 30) - 8);
      case 5: return &report_fd;
      case 6: return near.p == nullptr ? nullptr : near.p + 1 + number % (near.size + 64);
      default: return last_freed_;
    }
  }

  // Whether `p` may be given away without harm: hakmem promises to find it out.
  bool IsFoundOut(void* p) {
    if (p == nullptr) return false;
    for (const Held& held : held_) {
      if (held.p == p) return false;
    }
    if (kTrackBlocks) return true;
    const Region* region = address_map::RegionOf(p);
    if (region == nullptr) return true;
    return region->kind.load(std::memory_order_relaxed) != Region::Kind::kSuperslab;  // one thread
  }

  void Attack() {
    Held& near = held_[input_.Below(kMost)];
    const unsigned how = input_.Byte() % 6;
    void* p = Hostile(near);
    // Asking is always allowed.
    hak_owns(p);
    hak_usable_size(p);
    FUZZ_CHECK(!Reported());
    if (!IsFoundOut(p)) return;
    switch (how) {
      case 0:
      case 1: hak_free(p); break;
      case 2: hak_free_sized(p, 1 + input_.Below(4096)); break;
      case 3: hak_free_aligned_sized(p, 16, 1 + input_.Below(4096)); break;
      case 4: FUZZ_CHECK(hak_realloc(p, 100) == nullptr); break;
      default: FUZZ_CHECK(hak_realloc(p, 5 << 20) == nullptr); break;
    }
    FUZZ_CHECK(Reported());
  }

  void Step() {
    const unsigned op = input_.Byte();
    if (op % 3 == 0) {
      Attack();
      return;
    }
    Held& held = held_[input_.Below(kMost)];
    if (held.p == nullptr) {
      Allocate(held);
    } else if (op % 3 == 1) {
      // More than the block has: refused, and the block stays.
      hak_free_sized(held.p, hak_usable_size(held.p) + 1 + op);
      FUZZ_CHECK(Reported());
    } else {
      Free(held);
    }
    if (op == 254) {
      hak_trim(0);
      FUZZ_CHECK(!Reported());
    }
  }

  static constexpr size_t kMost = 16;
  fuzz::Input input_;
  Held held_[kMost];
  char* last_freed_ = nullptr;
};

}  // namespace
}  // namespace hakmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hakmem::Prepare();
  hakmem::Run(hakmem::fuzz::Input(data, size)).All();
  return 0;
}
