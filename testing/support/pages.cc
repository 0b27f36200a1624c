#include "testing/support/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace hakmem::test {

long ResidentBytes(const void* p, size_t size) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident((size + page - 1) / page);
  if (mincore(const_cast<void*>(p), size, resident.data()) != 0) return -1;
  long bytes = 0;
  for (unsigned char bits : resident) bytes += (bits & 1) != 0 ? static_cast<long>(page) : 0;
  return bytes;
}

// Page by page: memory for the answer could be mapped just where there was nothing.
bool IsMapped(const void* p, size_t size) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident;
  for (size_t at = 0; at < size; at += page) {
    if (mincore(static_cast<char*>(const_cast<void*>(p)) + at, page, &resident) != 0) return false;
  }
  return true;
}

bool IsZero(const void* p, size_t size) {
  const char* bytes = static_cast<const char*>(p);
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

ForeignMapping::ForeignMapping(void* hint, size_t size, Access access) : size_(size) {
  void* p = mmap(hint, size, access == Access::kNone ? PROT_NONE : PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (hint != nullptr ? MAP_FIXED_NOREPLACE : 0), -1, 0);
  base_ = p == MAP_FAILED ? nullptr : static_cast<char*>(p);
}

ForeignMapping::~ForeignMapping() {
  if (base_ != nullptr) munmap(base_, size_);
}

}  // namespace hakmem::test
