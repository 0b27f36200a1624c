// What a test of the matrix does first: puts its variant's options into the environment and starts itself again, since
// options are read once, before main; then proves that they are in force.
#ifndef HAKMEM_TESTING_MATRIX_VARIANT_H_
#define HAKMEM_TESTING_MATRIX_VARIANT_H_

#include <string>

namespace hakmem::testing {

// Takes --variant and --option off the arguments. Does not return when it starts the program again, or when an option
// is not in force. The variant's name.
std::string EnterVariant(int argc, char** argv);

}  // namespace hakmem::testing

#endif  // HAKMEM_TESTING_MATRIX_VARIANT_H_
