#include "hakmem/api/cpp_runtime.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <cstddef>

#include "hakmem/diag/report.h"

extern "C" {
// The Itanium C++ ABI's exception interface, and std::bad_alloc's type information, table of virtual functions and
// destructor; libstdc++ and libc++ have all of them. Weak: there when the program itself is a C++ program.
__attribute__((weak)) void* __cxa_allocate_exception(size_t size) noexcept;
__attribute__((weak, noreturn)) void __cxa_throw(void* exception, void* type, void (*destructor)(void*));
extern __attribute__((weak)) char bad_alloc_type __asm__("_ZTISt9bad_alloc");
extern __attribute__((weak)) void* bad_alloc_table[] __asm__("_ZTVSt9bad_alloc");
__attribute__((weak)) std::new_handler get_new_handler() noexcept __asm__("_ZSt15get_new_handlerv");
__attribute__((weak)) void bad_alloc_destructor(void*) __asm__("_ZNSt9bad_allocD1Ev");

// Weak, so that a static program does not get them for hakmem's sake.
__attribute__((weak)) void* dlopen(const char* file, int flags);
__attribute__((weak)) void* dlsym(void* handle, const char* name);
__attribute__((weak)) int dlclose(void* handle);
}

namespace hakmem::cpp_runtime {
namespace {

struct Runtime {
  decltype(&__cxa_allocate_exception) allocate_exception = nullptr;
  decltype(&__cxa_throw) throw_exception = nullptr;
  void* type = nullptr;
  void** table = nullptr;
  void (*destructor)(void*) = nullptr;
  decltype(&get_new_handler) new_handler = nullptr;

  bool CanThrow() const { return allocate_exception && throw_exception && type && table; }
};

template <class T>
void Look(void* library, const char* name, T* out) {
  *out = reinterpret_cast<T>(dlsym(library, name));
}

// A library that the process has loaded for one of its plug-ins: its names are not in the global scope.
bool FindLoaded(Runtime* runtime) {
  if (dlopen == nullptr || dlsym == nullptr || dlclose == nullptr) return false;
  static constexpr const char* kNames[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};
  for (const char* name : kNames) {
    void* library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) continue;
    Look(library, "__cxa_allocate_exception", &runtime->allocate_exception);
    Look(library, "__cxa_throw", &runtime->throw_exception);
    Look(library, "_ZTISt9bad_alloc", &runtime->type);
    Look(library, "_ZTVSt9bad_alloc", &runtime->table);
    Look(library, "_ZNSt9bad_allocD1Ev", &runtime->destructor);
    Look(library, "_ZSt15get_new_handlerv", &runtime->new_handler);
    dlclose(library);
    if (runtime->CanThrow()) return true;
  }
  return false;
}

// Nothing is remembered: a library may come and go, and this is needed only when memory has run out.
Runtime Find() {
  Runtime linked = {__cxa_allocate_exception, __cxa_throw,          &bad_alloc_type,
                    bad_alloc_table,          bad_alloc_destructor, get_new_handler};
  if (linked.CanThrow()) return linked;
  Runtime loaded;
  return FindLoaded(&loaded) ? loaded : linked;
}

}  // namespace

std::new_handler NewHandler() {
  const Runtime runtime = Find();
  return runtime.new_handler != nullptr ? runtime.new_handler() : nullptr;
}

void ThrowBadAlloc() {
  const Runtime runtime = Find();
  if (runtime.CanThrow()) {
    if (void* exception = runtime.allocate_exception(sizeof(void*)); exception != nullptr) {
      *static_cast<void***>(exception) = runtime.table + 2;  // behind the offset to top and the type information
      runtime.throw_exception(exception, runtime.type, runtime.destructor);
    }
  }
  ReportLine("hakmem: operator new: out of memory, and no C++ library to throw std::bad_alloc");
  abort();
}

}  // namespace hakmem::cpp_runtime
