// What the system says of pages, and pages for tests of what is never read.
#ifndef TESTING_SUPPORT_PAGES_H_
#define TESTING_SUPPORT_PAGES_H_

#include <cstddef>

namespace hakmem::test {

// Bytes of [p, p + size) that are resident (mincore(2)); `p` at a page border. -1 when a part is not mapped.
long ResidentBytes(const void* p, size_t size);

// Whether all of [p, p + size) is mapped, in whatever way.
bool IsMapped(const void* p, size_t size);

// Whether [p, p + size) reads as zero.
bool IsZero(const void* p, size_t size);

// A mapping that is not hakmem's, at `hint` when that is not null; nullptr when it cannot be had there.
class ForeignMapping {
 public:
  enum class Access { kNone, kReadWrite };
  ForeignMapping(void* hint, size_t size, Access access);
  ~ForeignMapping();
  ForeignMapping(const ForeignMapping&) = delete;
  ForeignMapping& operator=(const ForeignMapping&) = delete;

  char* get() const { return base_; }
  size_t size() const { return size_; }

 private:
  char* base_;
  size_t size_;
};

}  // namespace hakmem::test

#endif  // TESTING_SUPPORT_PAGES_H_
