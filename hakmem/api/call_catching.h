// The one function of hakmem that is compiled with exceptions, in a file of its own.
#ifndef HAKMEM_API_CALL_CATCHING_H_
#define HAKMEM_API_CALL_CATCHING_H_

#include <new>

namespace hakmem {

// Calls `handler`; false when it threw.
[[nodiscard]] bool CallCatching(std::new_handler handler);

}  // namespace hakmem

#endif  // HAKMEM_API_CALL_CATCHING_H_
