// Every form of operator new and delete ([new.delete]), new-handlers and std::bad_alloc, on hakmem.

#include <stddef.h>
#include <stdint.h>

#include <new>
#include <stdexcept>

#include "gtest/gtest.h"
#include "testing/interpose/served.h"

namespace {

constexpr size_t kSizes[] = {0, 1, 8, 100, 1024, 1025, 40'000, 300'000, 5'000'000};
// More than any machine has, and not a constant to the compiler.
volatile size_t g_too_much = size_t{1} << 62;
constexpr std::align_val_t kPage{4096};

bool IsAligned(const void* p, std::align_val_t alignment) {
  return reinterpret_cast<uintptr_t>(p) % static_cast<size_t>(alignment) == 0;
}

TEST(Operators, Plain) {
  for (size_t size : kSizes) {
    void* p = ::operator new(size);
    EXPECT_TRUE(IsServed(p)) << size;
    ::operator delete(p);
    p = ::operator new[](size);
    EXPECT_TRUE(IsServed(p)) << size;
    ::operator delete[](p);
    p = ::operator new(size, std::nothrow);
    EXPECT_TRUE(IsServed(p)) << size;
    ::operator delete(p, std::nothrow);
    p = ::operator new[](size, std::nothrow);
    EXPECT_TRUE(IsServed(p)) << size;
    ::operator delete[](p, std::nothrow);
  }
}

TEST(Operators, Sized) {
  for (size_t size : kSizes) {
    ::operator delete(::operator new(size), size);
    ::operator delete[](::operator new[](size), size);
    ::operator delete(::operator new(size, kPage), size, kPage);
    ::operator delete[](::operator new[](size, kPage), size, kPage);
  }
}

TEST(Operators, Aligned) {
  for (size_t alignment = 1; alignment <= size_t{4} << 20; alignment *= 4) {
    const std::align_val_t value{alignment};
    for (size_t size : kSizes) {
      void* p = ::operator new(size, value);
      EXPECT_TRUE(IsServed(p));
      EXPECT_TRUE(IsAligned(p, value)) << size << " " << alignment;
      ::operator delete(p, value);
      p = ::operator new[](size, value);
      EXPECT_TRUE(IsAligned(p, value)) << size << " " << alignment;
      ::operator delete[](p, value);
      p = ::operator new(size, value, std::nothrow);
      EXPECT_TRUE(IsAligned(p, value)) << size << " " << alignment;
      ::operator delete(p, value, std::nothrow);
      p = ::operator new[](size, value, std::nothrow);
      EXPECT_TRUE(IsServed(p));
      EXPECT_TRUE(IsAligned(p, value)) << size << " " << alignment;
      ::operator delete[](p, value, std::nothrow);
    }
  }
}

struct alignas(256) Wide {
  char bytes[700];
};

TEST(Operators, AsTheCompilerCallsThem) {
  auto* wide = new Wide;
  EXPECT_TRUE(IsServed(wide));
  EXPECT_TRUE(IsAligned(wide, std::align_val_t{256}));
  delete wide;
  auto* many = new Wide[5];
  EXPECT_TRUE(IsAligned(many, std::align_val_t{256}));
  delete[] many;
  auto* numbers = new int[1000];
  EXPECT_TRUE(IsServed(numbers));
  delete[] numbers;
}

TEST(OutOfMemory, ThrowsBadAlloc) {
  EXPECT_THROW(::operator delete(::operator new(g_too_much)), std::bad_alloc);
  EXPECT_THROW(::operator delete[](::operator new[](g_too_much)), std::bad_alloc);
  EXPECT_THROW(::operator delete(::operator new(g_too_much, kPage), kPage), std::bad_alloc);
  EXPECT_THROW(::operator delete[](::operator new[](g_too_much, kPage), kPage), std::bad_alloc);
  EXPECT_THROW(::operator delete(::operator new(SIZE_MAX)), std::bad_alloc);
  try {
    ::operator delete(::operator new(g_too_much));
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), std::bad_alloc().what());
  }
}

TEST(OutOfMemory, NothrowGivesNull) {
  EXPECT_EQ(::operator new(g_too_much, std::nothrow), nullptr);
  EXPECT_EQ(::operator new[](g_too_much, std::nothrow), nullptr);
  EXPECT_EQ(::operator new(g_too_much, kPage, std::nothrow), nullptr);
  EXPECT_EQ(::operator new[](g_too_much, kPage, std::nothrow), nullptr);
}

int g_calls = 0;

// Called as long as there is not enough: gives up by taking itself out.
void HandlerThatGivesUp() {
  if (++g_calls == 3) std::set_new_handler(nullptr);
}
void HandlerThatThrows() {
  ++g_calls;
  throw std::bad_alloc();
}
void HandlerThatThrowsAnotherThing() { throw std::runtime_error("no more"); }

class Handler : public testing::Test {
 protected:
  Handler() { g_calls = 0; }
  ~Handler() override { std::set_new_handler(nullptr); }
};

TEST_F(Handler, IsCalledUntilItGivesUp) {
  std::set_new_handler(HandlerThatGivesUp);
  EXPECT_THROW(::operator delete(::operator new(g_too_much)), std::bad_alloc);
  EXPECT_EQ(g_calls, 3);
  g_calls = 0;
  std::set_new_handler(HandlerThatGivesUp);
  EXPECT_THROW(::operator delete[](::operator new[](g_too_much, kPage), kPage), std::bad_alloc);
  EXPECT_EQ(g_calls, 3);
}

TEST_F(Handler, IsCalledByNothrowForms) {
  std::set_new_handler(HandlerThatGivesUp);
  EXPECT_EQ(::operator new(g_too_much, std::nothrow), nullptr);
  EXPECT_EQ(g_calls, 3);
  g_calls = 0;
  std::set_new_handler(HandlerThatGivesUp);
  EXPECT_EQ(::operator new[](g_too_much, kPage, std::nothrow), nullptr);
  EXPECT_EQ(g_calls, 3);
}

TEST_F(Handler, ThatThrowsMakesNothrowFormsGiveNull) {
  std::set_new_handler(HandlerThatThrows);
  EXPECT_EQ(::operator new(g_too_much, std::nothrow), nullptr);
  EXPECT_EQ(::operator new[](g_too_much, std::nothrow), nullptr);
  EXPECT_EQ(::operator new(g_too_much, kPage, std::nothrow), nullptr);
  EXPECT_EQ(::operator new[](g_too_much, kPage, std::nothrow), nullptr);
  EXPECT_EQ(g_calls, 4);
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

TEST_F(Handler, MayThrowWhatItLikes) {
  std::set_new_handler(HandlerThatThrows);
  EXPECT_THROW(::operator delete(::operator new(g_too_much)), std::bad_alloc);
  EXPECT_EQ(g_calls, 1);
  std::set_new_handler(HandlerThatThrowsAnotherThing);
  EXPECT_THROW(::operator delete(::operator new(g_too_much)), std::runtime_error);
}

TEST_F(Handler, IsNotCalledWhenThereIsMemory) {
  std::set_new_handler(HandlerThatThrows);
  for (size_t size : kSizes) ::operator delete(::operator new(size));
  EXPECT_EQ(g_calls, 0);
}

}  // namespace
