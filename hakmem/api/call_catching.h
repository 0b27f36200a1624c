// The functions of hakmem that are compiled with exceptions, in a file of their own.
#ifndef HAKMEM_API_CALL_CATCHING_H_
#define HAKMEM_API_CALL_CATCHING_H_

#include <cstddef>
#include <new>

namespace hakmem {

// Calls `handler`; false when it threw.
[[nodiscard]] bool CallCatching(std::new_handler handler);

// Calls a form of operator new; nullptr when it threw.
[[nodiscard]] void* AllocateCatching(void* (*form)(size_t), size_t size);
[[nodiscard]] void* AllocateCatching(void* (*form)(size_t, std::align_val_t), size_t size, std::align_val_t alignment);

}  // namespace hakmem

#endif  // HAKMEM_API_CALL_CATCHING_H_
