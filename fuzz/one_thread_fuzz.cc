// One thread, all operations.

#include "fuzz/input.h"
#include "fuzz/player.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hakmem::fuzz::Player player(hakmem::fuzz::kHakmem, hakmem::fuzz::Input(data, size));
  while (!player.input().done()) {
    player.Step();
    player.CheckNoOverlap();
  }
  return 0;
}
