// Checks in layers. A disabled check is still compiled.
#ifndef HAKMEM_DIAG_CHECK_H_
#define HAKMEM_DIAG_CHECK_H_

#include "hakmem/diag/report.h"
#include "hakmem/platform/build.h"
#include "hakmem/platform/compiler.h"

// Always.
#define HAK_CHECK(condition)                                                            \
  do {                                                                                  \
    if (HAK_UNLIKELY(!(condition))) ::hakmem::Die(#condition, __FILE_NAME__, __LINE__); \
  } while (0)

// Debug and guard builds.
#define HAK_ASSERT(condition)                                     \
  do {                                                            \
    if constexpr (!::hakmem::kReleaseBuild) HAK_CHECK(condition); \
  } while (0)

// Guard builds: checks that walk lists.
#define HAK_EXPENSIVE_ASSERT(condition)                        \
  do {                                                         \
    if constexpr (::hakmem::kGuardBuild) HAK_CHECK(condition); \
  } while (0)

#endif  // HAKMEM_DIAG_CHECK_H_
