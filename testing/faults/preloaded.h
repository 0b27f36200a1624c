// What the tests of fault programs are given: the library that is preloaded, and the program with the mistakes.
#ifndef TESTING_FAULTS_PRELOADED_H_
#define TESTING_FAULTS_PRELOADED_H_

#include <string>

namespace hakmem::faults {

// Set by the main function in preloaded_main.cc, which takes both as arguments.
extern std::string* g_library;
extern std::string* g_program;

}  // namespace hakmem::faults

#endif  // TESTING_FAULTS_PRELOADED_H_
