// The variants of the matrix (defs.bzl) as data.
#ifndef HAKMEM_TESTING_MATRIX_VARIANT_TABLE_H_
#define HAKMEM_TESTING_MATRIX_VARIANT_TABLE_H_

#include <string>
#include <utility>
#include <vector>

namespace hakmem::testing {

struct Variant {
  std::string name;
  std::vector<std::pair<std::string, std::string>> options;  // variable and value
};

const std::vector<Variant>& Variants();

}  // namespace hakmem::testing

#endif  // HAKMEM_TESTING_MATRIX_VARIANT_TABLE_H_
