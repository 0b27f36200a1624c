// Every replaceable form of operator new and delete ([new.delete]).
// What the C++ library is needed for stands in cpp_runtime.h.

#include <errno.h>
#include <stdlib.h>

#include <cstddef>
#include <new>

#include <hakmem/hakmem.h>

#include "hakmem/api/call_catching.h"
#include "hakmem/api/core.h"
#include "hakmem/api/cpp_runtime.h"

namespace core = hakmem::core;
namespace cpp_runtime = hakmem::cpp_runtime;

namespace {

// [new.delete.single]: call the new-handler and try again, as long as there is one.
template <class Allocate>
HAK_COLD void* Retry(Allocate allocate) {
  for (;;) {
    std::new_handler handler = cpp_runtime::NewHandler();
    if (handler == nullptr) cpp_runtime::ThrowBadAlloc();
    handler();
    if (void* p = allocate(); p != nullptr) return p;
  }
}

HAK_COLD void* RetryPlain(size_t size) {
  return Retry([=] { return core::Malloc(size); });
}
HAK_COLD void* RetryAligned(size_t alignment, size_t size) {
  return Retry([=] { return core::AllocateAligned(alignment, size); });
}

HAK_NOINLINE void* NewSlow(size_t size) {
  void* p = core::MallocSlowFor(size, HAK_CALLER());
  return HAK_LIKELY(p != nullptr) ? p : RetryPlain(size);
}

HAK_ALWAYS_INLINE void* New(size_t size) {
  if (void* p = hakmem::tiny::TryMalloc(size); HAK_LIKELY(p != nullptr)) {
    if constexpr (hakmem::kTrackBlocks) hakmem::tiny::MarkLive(p);
    return p;
  }
  return NewSlow(size);
}

HAK_ALWAYS_INLINE void* NewAligned(size_t size, std::align_val_t alignment) {
  void* p =
      core::AllocateAlignedFor(hakmem::trace::Op::kAlignedAlloc, static_cast<size_t>(alignment), size, HAK_CALLER());
  return HAK_LIKELY(p != nullptr) ? p : RetryAligned(static_cast<size_t>(alignment), size);
}

// The nothrow forms call the throwing ones and turn the exception into null; without exceptions here they look for a
// new-handler only: one that throws passes through, which [new.delete.single] leaves to the throwing form. A program
// without a handler, by far the most common, sees no difference.
void* NewNothrow(size_t size) {
  if (void* p = core::Malloc(size); HAK_LIKELY(p != nullptr)) return p;
  for (;;) {
    std::new_handler handler = cpp_runtime::NewHandler();
    if (handler == nullptr || !hakmem::CallCatching(handler)) return nullptr;
    if (void* p = core::Malloc(size); p != nullptr) return p;
  }
}

void* NewAlignedNothrow(size_t size, std::align_val_t alignment) {
  for (;;) {
    if (void* p = core::AllocateAligned(static_cast<size_t>(alignment), size); HAK_LIKELY(p != nullptr)) return p;
    std::new_handler handler = cpp_runtime::NewHandler();
    if (handler == nullptr || !hakmem::CallCatching(handler)) return nullptr;
  }
}

}  // namespace

HAKMEM_PUBLIC void* operator new(size_t size) { return New(size); }
HAKMEM_PUBLIC void* operator new[](size_t size) { return New(size); }
HAKMEM_PUBLIC void* operator new(size_t size, const std::nothrow_t&) noexcept { return NewNothrow(size); }
HAKMEM_PUBLIC void* operator new[](size_t size, const std::nothrow_t&) noexcept { return NewNothrow(size); }
HAKMEM_PUBLIC void* operator new(size_t size, std::align_val_t alignment) { return NewAligned(size, alignment); }
HAKMEM_PUBLIC void* operator new[](size_t size, std::align_val_t alignment) { return NewAligned(size, alignment); }
HAKMEM_PUBLIC void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return NewAlignedNothrow(size, alignment);
}
HAKMEM_PUBLIC void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return NewAlignedNothrow(size, alignment);
}

HAKMEM_PUBLIC void operator delete(void* ptr) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void operator delete[](void* ptr) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void operator delete(void* ptr, const std::nothrow_t&) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void operator delete[](void* ptr, const std::nothrow_t&) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void operator delete(void* ptr, size_t size) noexcept { core::FreeWithSize(ptr, size); }
HAKMEM_PUBLIC void operator delete[](void* ptr, size_t size) noexcept { core::FreeWithSize(ptr, size); }
HAKMEM_PUBLIC void operator delete(void* ptr, std::align_val_t) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void operator delete[](void* ptr, std::align_val_t) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void operator delete(void* ptr, size_t size, std::align_val_t alignment) noexcept {
  core::FreeAlignedSized(ptr, static_cast<size_t>(alignment), size);
}
HAKMEM_PUBLIC void operator delete[](void* ptr, size_t size, std::align_val_t alignment) noexcept {
  core::FreeAlignedSized(ptr, static_cast<size_t>(alignment), size);
}
HAKMEM_PUBLIC void operator delete(void* ptr, std::align_val_t, const std::nothrow_t&) noexcept { core::Free(ptr); }
HAKMEM_PUBLIC void operator delete[](void* ptr, std::align_val_t, const std::nothrow_t&) noexcept { core::Free(ptr); }
