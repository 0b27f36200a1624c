#include <limits.h>
#include <stdlib.h>

#include <string>

#include "gtest/gtest.h"
#include "testing/faults/preloaded.h"

namespace hakmem::faults {

std::string* g_library = nullptr;
std::string* g_program = nullptr;

}  // namespace hakmem::faults

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 3) return 2;
  char resolved[PATH_MAX];
  if (realpath(argv[1], resolved) == nullptr) return 2;
  std::string library = resolved;
  std::string program = argv[2];
  hakmem::faults::g_library = &library;
  hakmem::faults::g_program = &program;
  return RUN_ALL_TESTS();
}
