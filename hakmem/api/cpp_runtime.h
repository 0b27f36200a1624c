// What operator new needs of the C++ library, found when memory runs out, so that hakmem does not depend on it.
#ifndef HAKMEM_API_CPP_RUNTIME_H_
#define HAKMEM_API_CPP_RUNTIME_H_

#include <new>

namespace hakmem::cpp_runtime {

// std::get_new_handler(), nullptr also when the process has no C++ library.
std::new_handler NewHandler();

// Throws std::bad_alloc; reports and aborts when the process has no C++ library.
[[noreturn]] void ThrowBadAlloc();

}  // namespace hakmem::cpp_runtime

#endif  // HAKMEM_API_CPP_RUNTIME_H_
