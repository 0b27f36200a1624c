// A program linked with libhakmem.a, as a build other than Bazel's does it, has hakmem's malloc and operators.
#include <dlfcn.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "gtest/gtest.h"
#include "hakmem/hakmem.h"

namespace {

// The file that the loader took a function's code from.
const char* FileOf(void* function) {
  Dl_info info = {};
  return dladdr(function, &info) != 0 ? info.dli_fname : "";
}

TEST(StaticArchiveTest, ProgramDefinesTheStandardNames) {
  const char* self = FileOf(reinterpret_cast<void*>(&FileOf));
  EXPECT_STREQ(FileOf(reinterpret_cast<void*>(&malloc)), self);
  EXPECT_STREQ(FileOf(reinterpret_cast<void*>(&realloc)), self);
  EXPECT_STREQ(FileOf(reinterpret_cast<void*>(static_cast<void* (*)(size_t)>(&operator new))), self);
}

TEST(StaticArchiveTest, HakmemServesThem) {
  void* block = malloc(100);
  EXPECT_NE(hak_owns(block), 0);
  EXPECT_EQ(hak_usable_size(block), malloc_usable_size(block));
  free(block);
  auto number = std::make_unique<int>(1);
  EXPECT_NE(hak_owns(number.get()), 0);
  char* text = strdup("allocated by the C library");
  EXPECT_NE(hak_owns(text), 0);
  free(text);
}

}  // namespace
