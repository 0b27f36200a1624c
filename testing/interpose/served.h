// Proof that hakmem served a block: every test of this directory begins with it.
#ifndef TESTING_INTERPOSE_SERVED_H_
#define TESTING_INTERPOSE_SERVED_H_

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Weak: absent unless hakmem is preloaded or linked in.
__attribute__((weak)) int hak_owns(const void* ptr);
__attribute__((weak)) size_t hak_usable_size(const void* ptr);
__attribute__((weak)) const char* hak_version(void);

// 1 when `ptr` is a block of hakmem's. A dead weak reference calls nothing.
static inline int IsServed(const void* ptr) { return hak_owns != NULL && hak_owns(ptr) == 1; }

#ifdef __cplusplus
}
#endif

#endif  // TESTING_INTERPOSE_SERVED_H_
