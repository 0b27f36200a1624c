// Opens libhakmem.so with dlopen(3) beside the program's own malloc, as a plug-in host would, and uses it through its
// hak_ names: from threads that ran before, during and after, and after dlclose(3).
//
// usage: opened_program LIBHAKMEM

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

struct Names {
  void* (*malloc)(size_t);
  void* (*realloc)(void*, size_t);
  void (*free)(void*);
  int (*owns)(const void*);
};

std::atomic<const Names*> g_names{nullptr};
std::atomic<bool> g_closed{false};

template <class Function>
void Look(void* library, const char* name, Function* out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  if (*out == nullptr) {
    fprintf(stderr, "%s is missing\n", name);
    exit(2);
  }
}

void Expect(bool good, const char* what) {
  if (good) return;
  fprintf(stderr, "%s\n", what);
  exit(1);
}

void Use(const Names& names) {
  std::vector<void*> blocks;
  for (size_t size = 1; size < 5'000'000; size += size / 3 + 1) {
    void* block = names.malloc(size);
    Expect(names.owns(block) == 1, "hak_malloc gave a block that hak_owns does not know");
    memset(block, 1, size);
    block = names.realloc(block, size + size / 2);
    Expect(static_cast<char*>(block)[size - 1] == 1, "hak_realloc lost a byte");
    blocks.push_back(block);
  }
  for (void* block : blocks) names.free(block);
  void* other = malloc(100);
  Expect(names.owns(other) == 0, "the program's own malloc was replaced");
  free(other);
}

void UseBeforeAndAfterClose() {
  while (g_names.load() == nullptr) std::this_thread::yield();
  void* block = g_names.load()->malloc(100);
  while (!g_closed.load()) std::this_thread::yield();
  g_names.load()->free(block);
  // The thread ends, and with it its heap, in a library that was closed.
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::thread early(UseBeforeAndAfterClose);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fprintf(stderr, "dlopen: %s\n", dlerror());
    return 1;
  }
  Names names;
  Look(library, "hak_malloc", &names.malloc);
  Look(library, "hak_realloc", &names.realloc);
  Look(library, "hak_free", &names.free);
  Look(library, "hak_owns", &names.owns);
  g_names = &names;
  Use(names);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&names] { Use(names); });
  for (std::thread& thread : threads) thread.join();
  void* kept = names.malloc(1000);
  memset(kept, 7, 1000);
  Expect(dlclose(library) == 0, "dlclose failed");
  g_closed = true;
  early.join();
  // Blocks outlive the handle; so does the code.
  Expect(static_cast<char*>(kept)[999] == 7, "a block was lost with dlclose");
  names.free(kept);
  std::thread(Use, names).join();
  void* again = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  Expect(again != nullptr && dlsym(again, "hak_malloc") == reinterpret_cast<void*>(names.malloc),
         "opened again, the library is another");
  printf("opened, used and closed\n");
  return 0;
}
