// From the first call to the last: options, window, fork, exit.
#ifndef HAKMEM_API_STARTUP_H_
#define HAKMEM_API_STARTUP_H_

#include <atomic>

#include "hakmem/platform/compiler.h"

namespace hakmem::startup {

extern std::atomic<bool> g_done;

HAK_COLD void Initialize();

// Everything that must stand before the first block is served. Called at the top of each slow path, in any thread, also
// before constructors have run.
inline void Ensure() {
  // Acquire: sees what the initialising thread set up.
  if (HAK_UNLIKELY(!g_done.load(std::memory_order_acquire))) Initialize();
}

}  // namespace hakmem::startup

#endif  // HAKMEM_API_STARTUP_H_
