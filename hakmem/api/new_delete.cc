// Every replaceable form of operator new and delete ([new.delete]).
//
// Nothing here links the C++ library: what is needed of it to throw std::bad_alloc and to call new-handlers is referred
// to weakly, and is there when the program is a C++ program.

#include <errno.h>
#include <stdlib.h>

#include <cstddef>
#include <new>

#include <hakmem/hakmem.h>

#include "hakmem/api/core.h"
#include "hakmem/diag/report.h"

extern "C" {
// The Itanium C++ ABI's exception interface, and std::bad_alloc's type information, table of virtual functions and
// destructor; libstdc++ and libc++ have all of them.
__attribute__((weak)) void* __cxa_allocate_exception(size_t size) noexcept;
__attribute__((weak, noreturn)) void __cxa_throw(void* exception, void* type, void (*destructor)(void*));
extern __attribute__((weak)) char bad_alloc_type __asm__("_ZTISt9bad_alloc");
extern __attribute__((weak)) void* bad_alloc_table[] __asm__("_ZTVSt9bad_alloc");
__attribute__((weak)) std::new_handler get_new_handler() noexcept __asm__("_ZSt15get_new_handlerv");
__attribute__((weak)) void bad_alloc_destructor(void*) __asm__("_ZNSt9bad_allocD1Ev");
}

namespace core = hakmem::core;

namespace {

[[noreturn]] void ThrowBadAlloc() {
  if (__cxa_throw != nullptr && &bad_alloc_type != nullptr && bad_alloc_table != nullptr) {
    if (void** exception = static_cast<void**>(__cxa_allocate_exception(sizeof(void*))); exception != nullptr) {
      *exception = bad_alloc_table + 2;  // behind the offset to top and the type information
      __cxa_throw(exception, &bad_alloc_type, bad_alloc_destructor);
    }
  }
  hakmem::ReportLine("hakmem: operator new: out of memory, and no C++ library to throw std::bad_alloc");
  abort();
}

// [new.delete.single]: call the new-handler and try again, as long as there is one.
template <class Allocate>
HAK_COLD void* Retry(Allocate allocate) {
  for (;;) {
    std::new_handler handler = get_new_handler != nullptr ? get_new_handler() : nullptr;
    if (handler == nullptr) ThrowBadAlloc();
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
  void* p = core::AllocateAlignedFor(static_cast<size_t>(alignment), size, HAK_CALLER());
  return HAK_LIKELY(p != nullptr) ? p : RetryAligned(static_cast<size_t>(alignment), size);
}

// The nothrow forms call the throwing ones and turn the exception into null; without exceptions here they look for a
// new-handler only: one that throws passes through, which [new.delete.single] leaves to the throwing form. A program
// without a handler, by far the most common, sees no difference.
void* NewNothrow(size_t size) {
  if (void* p = core::Malloc(size); HAK_LIKELY(p != nullptr)) return p;
  for (;;) {
    std::new_handler handler = get_new_handler != nullptr ? get_new_handler() : nullptr;
    if (handler == nullptr) return nullptr;
    handler();
    if (void* p = core::Malloc(size); p != nullptr) return p;
  }
}

void* NewAlignedNothrow(size_t size, std::align_val_t alignment) {
  for (;;) {
    if (void* p = core::AllocateAligned(static_cast<size_t>(alignment), size); HAK_LIKELY(p != nullptr)) return p;
    std::new_handler handler = get_new_handler != nullptr ? get_new_handler() : nullptr;
    if (handler == nullptr) return nullptr;
    handler();
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
