// A C++ plug-in of a C program: the C++ library comes with it, and its names are not in the global scope.

#include <stddef.h>

#include <new>

namespace {

int g_calls = 0;
void Handler() {
  if (++g_calls == 2) std::set_new_handler(nullptr);
}

// Not a constant to the compiler.
volatile size_t g_too_much = size_t{1} << 62;

}  // namespace

extern "C" __attribute__((visibility("default"))) const char* TestOperators() {
  int* number = new int(7);
  delete number;
  try {
    ::operator delete(::operator new(g_too_much));
    return "operator new of too much succeeded";
  } catch (const std::bad_alloc&) {
  }
  if (::operator new(g_too_much, std::nothrow) != nullptr) return "nothrow new of too much succeeded";
  std::set_new_handler(Handler);
  try {
    ::operator delete(::operator new(g_too_much));
    return "operator new of too much succeeded";
  } catch (const std::bad_alloc&) {
  }
  return g_calls == 2 ? nullptr : "the new-handler was not called twice";
}
