// The main function of a fuzz target that is not fuzzed: runs it on files, each named before it is run.
//
// Flags are those that hakmem_fuzz_test gives; any other argument is a file. (No flags library: the same arguments go
// to libFuzzer in other configurations.)

#include <stdio.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/input.h"

int main(int argc, char** argv) {
  const std::string seed_flag = "--seed_file=";
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    std::string path = argv[i];
    if (path.rfind("--dictionary=", 0) == 0) continue;
    if (path.rfind(seed_flag, 0) == 0) path.erase(0, seed_flag.size());
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      fprintf(stderr, "%s: cannot be read\n", path.c_str());
      return 2;
    }
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    fprintf(stderr, "%s: %zu bytes\n", path.c_str(), bytes.size());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  if (count == 0) {
    fprintf(stderr, "no input: give files\n");
    return 2;
  }
  printf("%zu inputs passed\n", count);
  return 0;
}
