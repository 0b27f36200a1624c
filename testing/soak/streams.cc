// A round of the soak in each variant of the matrix.

#include <stdio.h>

#include <string>

#include "testing/matrix/variant.h"
#include "testing/soak/round.h"

int main(int argc, char** argv) {
  const std::string variant = hakmem::testing::EnterVariant(argc, argv);
  const hakmem::soak::RoundResult result = hakmem::soak::RunRound(1, hakmem::op_stream::HakAllocator());
  if (result.failure.empty()) return 0;
  fprintf(stderr, "variant %s: %s\n", variant.c_str(), result.failure.c_str());
  return 1;
}
