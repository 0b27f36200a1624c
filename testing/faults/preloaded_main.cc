#include <limits.h>
#include <stdlib.h>

#include <string>

#include "gtest/gtest.h"
#include "testing/faults/preloaded.h"

namespace hakmem::faults {

std::string* g_library = nullptr;
std::string* g_program = nullptr;
std::string* g_linked_program = nullptr;

}  // namespace hakmem::faults

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 4) return 2;
  char resolved[PATH_MAX];
  if (realpath(argv[1], resolved) == nullptr) return 2;
  std::string library = resolved;
  std::string program = argv[2];
  std::string linked_program = argv[3];
  hakmem::faults::g_library = &library;
  hakmem::faults::g_program = &program;
  hakmem::faults::g_linked_program = &linked_program;
  return RUN_ALL_TESTS();
}
