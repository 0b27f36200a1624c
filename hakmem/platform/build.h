// What this build checks, as constants, so that a disabled check is still compiled.
//
// release: HAKMEM_BUILD_RELEASE; guard: HAKMEM_BUILD_GUARD; anything else is the debug build.
#ifndef HAKMEM_PLATFORM_BUILD_H_
#define HAKMEM_PLATFORM_BUILD_H_

#include "hakmem/platform/compiler.h"

namespace hakmem {

#if defined(HAKMEM_BUILD_GUARD)
inline constexpr bool kReleaseBuild = false;
inline constexpr bool kGuardBuild = true;
inline constexpr const char* kBuildName = "guard";
#elif defined(HAKMEM_BUILD_RELEASE)
inline constexpr bool kReleaseBuild = true;
inline constexpr bool kGuardBuild = false;
inline constexpr const char* kBuildName = "release";
#else
inline constexpr bool kReleaseBuild = false;
inline constexpr bool kGuardBuild = false;
inline constexpr const char* kBuildName = "debug";
#endif

// Each block's life is tracked by a bit beside the slab: a double free and the free of an interior pointer are found at
// once. Costs one atomic operation a call.
inline constexpr bool kTrackBlocks = !kReleaseBuild;

// Every use of a slab's token is checked: the thread has to drive the heap that owns the slab (superslab/ownership.h).
// HAKMEM_CHECK_OWNERSHIP (--config=ownership) asks for it in any build. Under the thread sanitizer it is off unless
// asked for: the sanitizer has to see the same faults by itself.
#if defined(HAKMEM_CHECK_OWNERSHIP)
inline constexpr bool kCheckOwnership = true;
#elif defined(HAK_TSAN)
inline constexpr bool kCheckOwnership = false;
#else
inline constexpr bool kCheckOwnership = !kReleaseBuild;
#endif

// Tests can put known faults back (tiny/seeded_faults.h).
inline constexpr bool kHasSeam = !kReleaseBuild;

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_BUILD_H_
