// A program at a fixed address that takes the addresses of operator new and delete: the linker gives it a jump for
// each, and the jump's address is the form's to the whole process. All forms have to end in hakmem all the same.

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

#include <initializer_list>
#include <new>

namespace {

void* (*volatile g_new)(size_t);
void* (*volatile g_new_array)(size_t);
void (*volatile g_delete)(void*);
void (*volatile g_delete_array)(void*);
volatile size_t g_too_much = size_t{1} << 62;
int g_faults = 0;

void Expect(bool good, const char* what) {
  if (good) return;
  printf("%s\n", what);
  ++g_faults;
}

}  // namespace

int main() {
  // Looked up: the linker takes a weak name for absent in such a program.
  const auto owns = reinterpret_cast<int (*)(const void*)>(dlsym(RTLD_DEFAULT, "hak_owns"));
  if (owns == nullptr) return 2;
  g_new = ::operator new;
  g_new_array = ::operator new[];
  g_delete = ::operator delete;
  g_delete_array = ::operator delete[];
  // No library's address is that low.
  if (reinterpret_cast<size_t>(g_new) >> 32 != 0) return 3;

  for (size_t size : {1, 100, 5000, 3'000'000}) {
    void* p = g_new(size);
    Expect(owns(p) == 1, "new");
    g_delete(p);
    p = g_new_array(size);
    Expect(owns(p) == 1, "new[]");
    g_delete_array(p);
    p = ::operator new(size, std::nothrow);
    Expect(owns(p) == 1, "nothrow new");
    ::operator delete(p, size);
    p = ::operator new[](size, std::nothrow);
    Expect(owns(p) == 1, "nothrow new[]");
    ::operator delete[](p, size);
  }
  Expect(::operator new(g_too_much, std::nothrow) == nullptr, "nothrow new of too much");
  Expect(::operator new[](g_too_much, std::nothrow) == nullptr, "nothrow new[] of too much");
  try {
    g_delete_array(g_new_array(g_too_much));
    Expect(false, "new[] of too much");
  } catch (const std::bad_alloc&) {
  }
  return g_faults == 0 ? 0 : 1;
}
