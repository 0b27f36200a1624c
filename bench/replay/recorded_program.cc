// What the test records: every kind of call, in two threads, with numbers that are known.
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

int main() {
  std::vector<void*> blocks;
  for (size_t i = 0; i < 1000; ++i) {
    void* block = i % 3 == 0 ? std::calloc(i + 1, 3) : std::malloc(i * 7);
    blocks.push_back(std::realloc(block, i * 11 + 1));
  }
  std::thread([&blocks] {
    for (size_t i = 0; i < blocks.size(); i += 2) std::free(blocks[i]);
  }).join();
  for (size_t i = 0; i < 200; ++i) {
    void* block = nullptr;
    if (posix_memalign(&block, size_t{64} << (i % 4), 100 + i) != 0) return 1;
    std::memset(block, 1, 100 + i);
    std::free(block);
    std::free(std::aligned_alloc(256, 512));
  }
  return 0;
}
