// What the tests of fault programs are given: the library that is preloaded, the program with the mistakes, and the
// same program with hakmem linked to it.
#ifndef TESTING_FAULTS_PRELOADED_H_
#define TESTING_FAULTS_PRELOADED_H_

#include <string>

namespace hakmem::faults {

// Set by the main function in preloaded_main.cc, which takes them as arguments.
extern std::string* g_library;
extern std::string* g_program;
extern std::string* g_linked_program;

}  // namespace hakmem::faults

#endif  // TESTING_FAULTS_PRELOADED_H_
