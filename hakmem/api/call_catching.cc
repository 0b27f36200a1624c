#include "hakmem/api/call_catching.h"

// Referred to weakly: absent in a program without a C++ library, where nothing throws.
__asm__(
    ".weak __gxx_personality_v0\n"
    ".weak __cxa_begin_catch\n"
    ".weak __cxa_end_catch\n");

namespace hakmem {

bool CallCatching(std::new_handler handler) {
  try {
    handler();
    return true;
  } catch (...) {
    return false;
  }
}

void* AllocateCatching(void* (*form)(size_t), size_t size) {
  try {
    return form(size);
  } catch (...) {
    return nullptr;
  }
}

void* AllocateCatching(void* (*form)(size_t, std::align_val_t), size_t size, std::align_val_t alignment) {
  try {
    return form(size, alignment);
  } catch (...) {
    return nullptr;
  }
}

}  // namespace hakmem
