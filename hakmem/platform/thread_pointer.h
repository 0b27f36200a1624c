// The identity of the calling thread as one register or segment load.
#ifndef HAKMEM_PLATFORM_THREAD_POINTER_H_
#define HAKMEM_PLATFORM_THREAD_POINTER_H_

#include <cstdint>

#include "hakmem/platform/compiler.h"

namespace hakmem {

// The address of the thread's control block. Two live threads differ by at least the size of a thread's smallest stack
// (PTHREAD_STACK_MIN, 16 KiB); it is reused after a thread's end, so it never names an owner: heap ids do.
HAK_ALWAYS_INLINE uintptr_t ThreadPointer() {
#if defined(__x86_64__) && defined(__clang__)
  // The x86-64 ABI keeps the thread pointer at %fs:0. Spelt as a load in address space 257 so that the compiler can
  // fold it into the instruction that uses it.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnull-dereference"
  return *static_cast<const uintptr_t __attribute__((address_space(257)))*>(nullptr);
#pragma clang diagnostic pop
#else
  return reinterpret_cast<uintptr_t>(__builtin_thread_pointer());
#endif
}

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_THREAD_POINTER_H_
