// Every replaceable form of operator new and delete ([new.delete]).
// What the C++ library is needed for stands in cpp_runtime.h.
//
// A program may replace any of them. So all are weak: a static program's own take their place. And those that the
// standard has call another one do so when that is not the one here. Whether it is, two addresses say, at each call:
// the one that the linker has put into the global offset table for the name, and that of the definition here. There is
// nothing to be set up, so it holds for the first call as well.

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

HAK_NOINLINE void* NewAlignedSlow(size_t size, size_t alignment) {
  void* p = core::AllocateAlignedSlow(hakmem::trace::Op::kAlignedAlloc, alignment, size, HAK_CALLER());
  return HAK_LIKELY(p != nullptr) ? p : RetryAligned(alignment, size);
}

HAK_ALWAYS_INLINE void* NewAligned(size_t size, std::align_val_t alignment) {
  if (void* p = core::TakeAligned(static_cast<size_t>(alignment), size); HAK_LIKELY(p != nullptr)) return p;
  return NewAlignedSlow(size, static_cast<size_t>(alignment));
}

// What the nothrow forms do where the throwing ones, which they call, are the ones here: the same without an exception
// of hakmem's. What a new-handler throws is caught.
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

// The forms that others call, under names that nobody replaces.
extern "C" {
HAK_HIDDEN void* hakmem_new(size_t size) { return New(size); }
HAK_HIDDEN void* hakmem_new_aligned(size_t size, std::align_val_t alignment) { return NewAligned(size, alignment); }
HAK_HIDDEN void hakmem_delete(void* ptr) noexcept { core::Free(ptr); }
HAK_HIDDEN void hakmem_delete_aligned(void* ptr, std::align_val_t) noexcept { core::Free(ptr); }
HAK_HIDDEN void* hakmem_new_array(size_t size);
HAK_HIDDEN void* hakmem_new_array_aligned(size_t size, std::align_val_t alignment);
HAK_HIDDEN void hakmem_delete_array(void* ptr) noexcept;
HAK_HIDDEN void hakmem_delete_array_aligned(void* ptr, std::align_val_t alignment) noexcept;
}

#define REPLACEABLE HAKMEM_PUBLIC __attribute__((weak))
// Weak as well, so that the compiler does not take the two for one.
#define REPLACEABLE_ALIAS(definition) HAKMEM_PUBLIC __attribute__((weak, alias(#definition)))

REPLACEABLE_ALIAS(hakmem_new) void* operator new(size_t size);
REPLACEABLE_ALIAS(hakmem_new_aligned) void* operator new(size_t size, std::align_val_t alignment);
REPLACEABLE_ALIAS(hakmem_delete) void operator delete(void* ptr) noexcept;
REPLACEABLE_ALIAS(hakmem_delete_aligned) void operator delete(void* ptr, std::align_val_t alignment) noexcept;
REPLACEABLE_ALIAS(hakmem_new_array) void* operator new[](size_t size);
REPLACEABLE_ALIAS(hakmem_new_array_aligned) void* operator new[](size_t size, std::align_val_t alignment);
REPLACEABLE_ALIAS(hakmem_delete_array) void operator delete[](void* ptr) noexcept;
REPLACEABLE_ALIAS(hakmem_delete_array_aligned) void operator delete[](void* ptr, std::align_val_t alignment) noexcept;

namespace {

using NewForm = void*(size_t);
using AlignedNewForm = void*(size_t, std::align_val_t);
using DeleteForm = void(void*);
using AlignedDeleteForm = void(void*, std::align_val_t);

// Whether the name stands for the definition here. (In a program at a fixed address that takes the address of a form,
// the name stands for a jump of the program's that leads here. The call then goes that way and ends the same.)
template <class Form>
HAK_ALWAYS_INLINE bool IsOwn(Form* name, Form* definition) {
  return HAK_LIKELY(name == definition);
}

// Whether a call of the form ends here: it is the one here, and so is what it calls.
HAK_ALWAYS_INLINE bool NewEndsHere() { return IsOwn<NewForm>(&::operator new, &hakmem_new); }
HAK_ALWAYS_INLINE bool DeleteEndsHere() { return IsOwn<DeleteForm>(&::operator delete, &hakmem_delete); }
HAK_ALWAYS_INLINE bool AlignedNewEndsHere() { return IsOwn<AlignedNewForm>(&::operator new, &hakmem_new_aligned); }
HAK_ALWAYS_INLINE bool AlignedDeleteEndsHere() {
  return IsOwn<AlignedDeleteForm>(&::operator delete, &hakmem_delete_aligned);
}
HAK_ALWAYS_INLINE bool ArrayNewEndsHere() {
  return IsOwn<NewForm>(&::operator new[], &hakmem_new_array) && NewEndsHere();
}
HAK_ALWAYS_INLINE bool ArrayDeleteEndsHere() {
  return IsOwn<DeleteForm>(&::operator delete[], &hakmem_delete_array) && DeleteEndsHere();
}
HAK_ALWAYS_INLINE bool AlignedArrayNewEndsHere() {
  return IsOwn<AlignedNewForm>(&::operator new[], &hakmem_new_array_aligned) && AlignedNewEndsHere();
}
HAK_ALWAYS_INLINE bool AlignedArrayDeleteEndsHere() {
  return IsOwn<AlignedDeleteForm>(&::operator delete[], &hakmem_delete_array_aligned) && AlignedDeleteEndsHere();
}

// What the hit paths jump to when the call does not end here.
HAK_COLD void* CallNew(size_t size) { return ::operator new(size); }
HAK_COLD void CallDelete(void* ptr) { ::operator delete(ptr); }
HAK_COLD void CallArrayDelete(void* ptr) { ::operator delete[](ptr); }

}  // namespace

// The array forms call those for one object.
void* hakmem_new_array(size_t size) { return NewEndsHere() ? New(size) : CallNew(size); }
void* hakmem_new_array_aligned(size_t size, std::align_val_t alignment) {
  return AlignedNewEndsHere() ? NewAligned(size, alignment) : ::operator new(size, alignment);
}
void hakmem_delete_array(void* ptr) noexcept { DeleteEndsHere() ? core::Free(ptr) : CallDelete(ptr); }
void hakmem_delete_array_aligned(void* ptr, std::align_val_t alignment) noexcept {
  AlignedDeleteEndsHere() ? core::Free(ptr) : ::operator delete(ptr, alignment);
}

// The nothrow forms call the throwing ones.
REPLACEABLE void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return NewEndsHere() ? NewNothrow(size) : hakmem::AllocateCatching(::operator new, size);
}
REPLACEABLE void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return ArrayNewEndsHere() ? NewNothrow(size) : hakmem::AllocateCatching(::operator new[], size);
}
REPLACEABLE void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return AlignedNewEndsHere() ? NewAlignedNothrow(size, alignment)
                              : hakmem::AllocateCatching(::operator new, size, alignment);
}
REPLACEABLE void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return AlignedArrayNewEndsHere() ? NewAlignedNothrow(size, alignment)
                                   : hakmem::AllocateCatching(::operator new[], size, alignment);
}
REPLACEABLE void operator delete(void* ptr, const std::nothrow_t&) noexcept {
  DeleteEndsHere() ? core::Free(ptr) : CallDelete(ptr);
}
REPLACEABLE void operator delete[](void* ptr, const std::nothrow_t&) noexcept {
  ArrayDeleteEndsHere() ? core::Free(ptr) : CallArrayDelete(ptr);
}
REPLACEABLE void operator delete(void* ptr, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  AlignedDeleteEndsHere() ? core::Free(ptr) : ::operator delete(ptr, alignment);
}
REPLACEABLE void operator delete[](void* ptr, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  AlignedArrayDeleteEndsHere() ? core::Free(ptr) : ::operator delete[](ptr, alignment);
}

// The sized forms call those without a size.
REPLACEABLE void operator delete(void* ptr, size_t size) noexcept {
  DeleteEndsHere() ? core::FreeWithSize(ptr, size) : CallDelete(ptr);
}
REPLACEABLE void operator delete[](void* ptr, size_t size) noexcept {
  ArrayDeleteEndsHere() ? core::FreeWithSize(ptr, size) : CallArrayDelete(ptr);
}
REPLACEABLE void operator delete(void* ptr, size_t size, std::align_val_t alignment) noexcept {
  AlignedDeleteEndsHere() ? core::FreeAlignedSized(ptr, static_cast<size_t>(alignment), size)
                          : ::operator delete(ptr, alignment);
}
REPLACEABLE void operator delete[](void* ptr, size_t size, std::align_val_t alignment) noexcept {
  AlignedArrayDeleteEndsHere() ? core::FreeAlignedSized(ptr, static_cast<size_t>(alignment), size)
                               : ::operator delete[](ptr, alignment);
}
