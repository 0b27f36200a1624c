// A program with operator new and delete of its own, on hakmem: the forms that it does not have end where [new.delete]
// says the default ones do, at the pair that they forward to.
//
// What is replaced is chosen by REPLACE_PLAIN, REPLACE_ARRAY, REPLACE_ALIGNED, REPLACE_ALIGNED_ARRAY (a pair each) and
// REPLACE_SIZED, REPLACE_NOTHROW (one form each).

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "testing/interpose/served.h"

namespace {

enum Pair { kPlain, kArray, kAligned, kAlignedArray, kPairs };

constexpr bool kReplaced[kPairs] = {
#ifdef REPLACE_PLAIN
    true,
#else
    false,
#endif
#ifdef REPLACE_ARRAY
    true,
#else
    false,
#endif
#ifdef REPLACE_ALIGNED
    true,
#else
    false,
#endif
#ifdef REPLACE_ALIGNED_ARRAY
    true,
#else
    false,
#endif
};

#ifdef REPLACE_SIZED
constexpr bool kSizedReplaced = true;
#else
constexpr bool kSizedReplaced = false;
#endif
#ifdef REPLACE_NOTHROW
constexpr bool kNothrowReplaced = true;
#else
constexpr bool kNothrowReplaced = false;
#endif

struct Calls {
  int news[kPairs];
  int deletes[kPairs];
  int sized;
  int nothrow;
};
Calls g_calls;

enum class Mood { kServes, kThrowsBadAlloc, kThrowsAnotherThing };
Mood g_mood = Mood::kServes;

// In front of each block that the program itself hands out.
struct Header {
  size_t offset;
  Pair pair;
  uint32_t magic;
};
constexpr uint32_t kMagic = 0x6f776e65;
static_assert(sizeof(Header) == 16);

[[maybe_unused]] void* Allocate(Pair pair, size_t size, size_t alignment) {
  ++g_calls.news[pair];
  if (g_mood == Mood::kThrowsBadAlloc) throw std::bad_alloc();
  if (g_mood == Mood::kThrowsAnotherThing) throw 7;
  const size_t offset = alignment < sizeof(Header) ? sizeof(Header) : alignment;
  const size_t rounded = (size + offset - 1) / offset * offset;
  auto* start = static_cast<char*>(aligned_alloc(offset, rounded + offset));
  if (start == nullptr) throw std::bad_alloc();
  const Header header = {offset, pair, kMagic};
  memcpy(start + offset - sizeof(header), &header, sizeof(header));
  return start + offset;
}

// False for a block that another allocator handed out.
bool Look(void* p, Header* header) {
  memcpy(header, static_cast<char*>(p) - sizeof(*header), sizeof(*header));
  return header->magic == kMagic;
}

[[maybe_unused]] void Release(Pair pair, void* p) {
  if (p == nullptr) return;
  Header header;
  if (!Look(p, &header) || header.pair != pair) {
    fprintf(stderr, "a block of another allocator came to pair %d\n", pair);
    abort();
  }
  char* start = static_cast<char*>(p) - header.offset;
  memset(static_cast<char*>(p) - sizeof(header), 0, sizeof(header));
  free(start);
}

[[maybe_unused]] void Delete(Pair pair, void* p) {
  ++g_calls.deletes[pair];
  Release(pair, p);
}

}  // namespace

#ifdef REPLACE_PLAIN
void* operator new(size_t size) { return Allocate(kPlain, size, 1); }
void operator delete(void* p) noexcept { Delete(kPlain, p); }
#endif
#ifdef REPLACE_ARRAY
void* operator new[](size_t size) { return Allocate(kArray, size, 1); }
void operator delete[](void* p) noexcept { Delete(kArray, p); }
#endif
#ifdef REPLACE_ALIGNED
void* operator new(size_t size, std::align_val_t a) { return Allocate(kAligned, size, static_cast<size_t>(a)); }
void operator delete(void* p, std::align_val_t) noexcept { Delete(kAligned, p); }
#endif
#ifdef REPLACE_ALIGNED_ARRAY
void* operator new[](size_t size, std::align_val_t a) { return Allocate(kAlignedArray, size, static_cast<size_t>(a)); }
void operator delete[](void* p, std::align_val_t) noexcept { Delete(kAlignedArray, p); }
#endif
#ifdef REPLACE_SIZED
void operator delete(void* p, size_t) noexcept {
  ++g_calls.sized;
  Release(kPlain, p);
}
#endif
#ifdef REPLACE_NOTHROW
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++g_calls.nothrow;
  return Allocate(kPlain, size, 1);
}
#endif

namespace {

constexpr std::align_val_t kWide{256};
constexpr size_t kSizes[] = {0, 1, 100, 1024, 5000, 100'000, 3'000'000};

// The pair that a pair's forms end at: itself, or the one that an array pair calls, or none but hakmem's own.
Pair EndOf(Pair pair) {
  if (kReplaced[pair]) return pair;
  if (pair == kArray && kReplaced[kPlain]) return kPlain;
  if (pair == kAlignedArray && kReplaced[kAligned]) return kAligned;
  return kPairs;
}

void* Throwing(Pair pair, size_t size) {
  switch (pair) {
    case kPlain: return ::operator new(size);
    case kArray: return ::operator new[](size);
    case kAligned: return ::operator new(size, kWide);
    default: return ::operator new[](size, kWide);
  }
}

void* Nothrow(Pair pair, size_t size) {
  switch (pair) {
    case kPlain: return ::operator new(size, std::nothrow);
    case kArray: return ::operator new[](size, std::nothrow);
    case kAligned: return ::operator new(size, kWide, std::nothrow);
    default: return ::operator new[](size, kWide, std::nothrow);
  }
}

enum class How { kUnsized, kSized, kNothrow };

void Drop(Pair pair, How how, void* p, size_t size) {
  switch (pair) {
    case kPlain:
      if (how == How::kUnsized) return ::operator delete(p);
      if (how == How::kSized) return ::operator delete(p, size);
      return ::operator delete(p, std::nothrow);
    case kArray:
      if (how == How::kUnsized) return ::operator delete[](p);
      if (how == How::kSized) return ::operator delete[](p, size);
      return ::operator delete[](p, std::nothrow);
    case kAligned:
      if (how == How::kUnsized) return ::operator delete(p, kWide);
      if (how == How::kSized) return ::operator delete(p, size, kWide);
      return ::operator delete(p, kWide, std::nothrow);
    default:
      if (how == How::kUnsized) return ::operator delete[](p, kWide);
      if (how == How::kSized) return ::operator delete[](p, size, kWide);
      return ::operator delete[](p, kWide, std::nothrow);
  }
}

bool Same(const Calls& a, const Calls& b) { return memcmp(&a, &b, sizeof(a)) == 0; }

// One block by one form of new and one of delete; false when it went another way than it should.
bool GoesItsWay(Pair pair, bool nothrow, How how, size_t size) {
  Calls want = {};
  const Pair end = EndOf(pair);
  const bool own_new = nothrow && pair == kPlain && kNothrowReplaced;
  if (end != kPairs) {
    ++want.news[end];
    if (own_new) ++want.nothrow;
    if (how == How::kSized && pair == kPlain && kSizedReplaced) {
      ++want.sized;
    } else {
      ++want.deletes[end];
    }
  }
  g_calls = {};
  void* p = nothrow ? Nothrow(pair, size) : Throwing(pair, size);
  if (p == nullptr) return false;
  bool good;
  if (end != kPairs) {
    Header header;
    good = Look(p, &header) && header.pair == end && IsServed(static_cast<char*>(p) - header.offset);
  } else {
    good = IsServed(p);
  }
  if (pair == kAligned || pair == kAlignedArray) good = good && reinterpret_cast<uintptr_t>(p) % 256 == 0;
  if (!good) return false;  // not to be freed, then
  memset(p, 1, size);
  Drop(pair, how, p, size);
  return Same(g_calls, want);
}

bool AllGoTheirWay(size_t size) {
  for (int pair = 0; pair < kPairs; ++pair) {
    for (bool nothrow : {false, true}) {
      for (How how : {How::kUnsized, How::kSized, How::kNothrow}) {
        if (!GoesItsWay(static_cast<Pair>(pair), nothrow, how, size)) {
          fprintf(stderr, "pair %d, nothrow %d, delete %d, %zu bytes\n", pair, nothrow, static_cast<int>(how), size);
          return false;
        }
      }
    }
  }
  return true;
}

// Before any constructor of the process, hakmem's included.
bool g_early = false;
void Early() { g_early = AllGoTheirWay(100); }
__attribute__((section(".preinit_array"), used)) void (*g_preinit)() = Early;

// As a library's variables do.
const bool g_constructed = AllGoTheirWay(100);

TEST(Replaced, EveryFormEndsAtItsPair) {
  for (size_t size : kSizes) EXPECT_TRUE(AllGoTheirWay(size)) << size;
}

TEST(Replaced, BeforeMainToo) {
  EXPECT_TRUE(g_early);
  EXPECT_TRUE(g_constructed);
}

TEST(Replaced, DeleteOfNullGoesTheSameWay) {
  for (int pair = 0; pair < kPairs; ++pair) {
    for (How how : {How::kUnsized, How::kSized, How::kNothrow}) {
      const Pair end = EndOf(static_cast<Pair>(pair));
      Calls want = {};
      if (how == How::kSized && pair == kPlain && kSizedReplaced) {
        ++want.sized;
      } else if (end != kPairs) {
        ++want.deletes[end];
      }
      g_calls = {};
      Drop(static_cast<Pair>(pair), how, nullptr, 100);
      EXPECT_TRUE(Same(g_calls, want)) << pair;
    }
  }
}

// What [new.delete] says of a throwing form that throws: the nothrow forms return null, the others pass it on.
TEST(Replaced, NothrowFormsCatch) {
  for (int i = 0; i < kPairs; ++i) {
    const Pair pair = static_cast<Pair>(i);
    if (EndOf(pair) == kPairs || (pair == kPlain && kNothrowReplaced)) continue;
    for (Mood mood : {Mood::kThrowsBadAlloc, Mood::kThrowsAnotherThing}) {
      g_calls = {};
      g_mood = mood;
      void* p = Nothrow(pair, 100);
      g_mood = Mood::kServes;
      EXPECT_EQ(p, nullptr) << pair;
      EXPECT_EQ(g_calls.news[EndOf(pair)], 1) << pair;
      EXPECT_EQ(std::uncaught_exceptions(), 0);
    }
  }
}

TEST(Replaced, ThrowingFormsThrow) {
  for (int i = 0; i < kPairs; ++i) {
    const Pair pair = static_cast<Pair>(i);
    if (EndOf(pair) == kPairs) continue;
    int caught = 0;
    g_mood = Mood::kThrowsBadAlloc;
    try {
      (void)Throwing(pair, 100);
    } catch (const std::bad_alloc&) {
      ++caught;
    }
    g_mood = Mood::kThrowsAnotherThing;
    try {
      (void)Throwing(pair, 100);
    } catch (int) {
      ++caught;
    }
    g_mood = Mood::kServes;
    EXPECT_EQ(caught, 2) << pair;
  }
}

struct alignas(256) Wide {
  ~Wide() { bytes[0] = 0; }
  char bytes[700];
};

// As compilers and the C++ library call them.
TEST(Replaced, ExpressionsAndContainers) {
  for (int round = 0; round < 1000; ++round) {
    delete new Wide;
    delete[] new Wide[3];
    delete new std::string(static_cast<size_t>(round), 'a');
    delete[] new std::string[5];
    std::vector<std::unique_ptr<int[]>> many;
    for (size_t i = 0; i < 10; ++i) many.push_back(std::make_unique<int[]>(i * 100));
  }
}

}  // namespace
