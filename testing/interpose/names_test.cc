// Every name of the C interface, and functions of the C library that hand out blocks, on hakmem. Linked in each of the
// ways in, and preloaded.

#include <errno.h>
#include <glob.h>
#include <malloc.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "testing/interpose/served.h"

extern "C" {
// Not in the headers of every C library. Weak, so that a preloaded program can be linked without hakmem.
__attribute__((weak)) void free_sized(void* ptr, size_t size);
__attribute__((weak)) void free_aligned_sized(void* ptr, size_t alignment, size_t size);
__attribute__((weak)) void cfree(void* ptr);
__attribute__((weak)) int __posix_memalign(void** out, size_t alignment, size_t size);
void* __libc_malloc(size_t size);
void __libc_free(void* ptr);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* ptr, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void* __libc_valloc(size_t size);
void* __libc_pvalloc(size_t size);
int __libc_mallopt(int parameter, int value);
struct mallinfo __libc_mallinfo(void);
}

namespace {

// Opaque to the compiler, which knows what malloc and free are.
template <class T>
T* Hide(T* p) {
  __asm__ volatile("" : "+r"(p) : : "memory");
  return p;
}

const size_t kSizes[] = {1, 100, 1024, 1025, 40'000, 300'000, 5'000'000};

TEST(Names, HakmemIsThere) {
  ASSERT_NE(hak_version, nullptr);
  EXPECT_EQ(std::string(hak_version()).rfind("hakmem ", 0), 0u);
  int on_stack = 0;
  EXPECT_FALSE(IsServed(&on_stack));
}

TEST(Names, IsoC) {
  for (size_t size : kSizes) {
    void* p = Hide(malloc(size));
    EXPECT_TRUE(IsServed(p)) << size;
    p = Hide(realloc(p, size * 2));
    EXPECT_TRUE(IsServed(p)) << size;
    free(p);
    p = Hide(calloc(1, size));
    EXPECT_TRUE(IsServed(p)) << size;
    free_sized(p, size);
    p = Hide(aligned_alloc(64, size));
    EXPECT_TRUE(IsServed(p)) << size;
    free_aligned_sized(p, 64, size);
  }
}

TEST(Names, PosixAndOlder) {
  for (size_t size : kSizes) {
    void* p = nullptr;
    EXPECT_EQ(posix_memalign(&p, 4096, size), 0);
    EXPECT_TRUE(IsServed(p));
    free(p);
    EXPECT_EQ(__posix_memalign(&p, 4096, size), 0);
    EXPECT_TRUE(IsServed(p));
    cfree(p);
    for (void* q :
         {Hide(memalign(256, size)), Hide(valloc(size)), Hide(pvalloc(size)), Hide(reallocarray(nullptr, size, 2))}) {
      EXPECT_TRUE(IsServed(q)) << size;
      EXPECT_EQ(malloc_usable_size(q), hak_usable_size(q));
      EXPECT_GE(malloc_usable_size(q), size);
      free(q);
    }
  }
  EXPECT_EQ(malloc_usable_size(nullptr), 0u);
  int on_stack = 0;
  EXPECT_EQ(malloc_usable_size(Hide(&on_stack)), 0u);
}

TEST(Names, OfTheCLibraryItself) {
  for (size_t size : kSizes) {
    for (void* p : {__libc_malloc(size), __libc_calloc(1, size), __libc_memalign(64, size), __libc_valloc(size),
                    __libc_pvalloc(size), __libc_realloc(nullptr, size)}) {
      EXPECT_TRUE(IsServed(Hide(p))) << size;
      __libc_free(p);
    }
  }
}

TEST(Names, Mallopt) {
  for (int parameter : {M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION, M_PERTURB,
                        M_ARENA_TEST, M_ARENA_MAX}) {
    EXPECT_EQ(mallopt(parameter, 1), 1) << parameter;
    EXPECT_EQ(__libc_mallopt(parameter, 1), 1) << parameter;
  }
  EXPECT_EQ(mallopt(4711, 1), 0);
  // A program that tunes glibc goes on.
  void* p = Hide(malloc(100));
  EXPECT_TRUE(IsServed(p));
  free(p);
}

TEST(Names, Mallinfo) {
  void* p = Hide(malloc(5'000'000));
  const struct mallinfo2 wide = mallinfo2();
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
  const struct mallinfo narrow = mallinfo();
#pragma clang diagnostic pop
  EXPECT_GE(wide.hblkhd, 5'000'000u);
  EXPECT_EQ(static_cast<size_t>(narrow.hblkhd), wide.hblkhd);
  EXPECT_EQ(static_cast<size_t>(narrow.hblks), wide.hblks);
  EXPECT_EQ(static_cast<size_t>(narrow.uordblks), wide.uordblks);
  EXPECT_EQ(__libc_mallinfo().hblks, narrow.hblks);
  free(p);
  EXPECT_EQ(mallinfo2().hblks, wide.hblks - 1);
}

TEST(Names, MallocTrim) {
  std::vector<void*> blocks;
  for (int i = 0; i < 50; ++i) {
    blocks.push_back(memset(malloc(100'000), 1, 100'000));
  }
  for (void* p : blocks) free(p);
  EXPECT_EQ(malloc_trim(0), 1);
  EXPECT_EQ(malloc_trim(0), 0);
}

TEST(Names, MallocInfoAndStats) {
  char* text = nullptr;
  size_t size = 0;
  FILE* stream = open_memstream(&text, &size);
  EXPECT_EQ(malloc_info(0, stream), 0);
  fclose(stream);
  EXPECT_EQ(std::string(text, 8), "<malloc ");
  EXPECT_NE(strstr(text, "name=\"hakmem\""), nullptr);
  EXPECT_TRUE(IsServed(text));
  free(text);
  errno = 0;
  EXPECT_EQ(malloc_info(1, stderr), -1);
  EXPECT_EQ(errno, EINVAL);
  testing::internal::CaptureStderr();
  malloc_stats();
  EXPECT_EQ(testing::internal::GetCapturedStderr().rfind("hakmem: statistics of process ", 0), 0u);
}

TEST(CLibrary, BlocksThatItHandsOut) {
  char* p = strdup("a string");
  EXPECT_TRUE(IsServed(Hide(p)));
  EXPECT_STREQ(p, "a string");
  free(p);
  p = strndup("a string", 3);
  EXPECT_TRUE(IsServed(Hide(p)));
  free(p);
  wchar_t* w = wcsdup(L"wide");
  EXPECT_TRUE(IsServed(Hide(w)));
  free(w);
  ASSERT_GT(asprintf(&p, "%d %s", 42, std::string(5000, 'x').c_str()), 0);
  EXPECT_TRUE(IsServed(p));
  free(p);
  p = realpath("/proc/self/../self/maps", nullptr);
  EXPECT_TRUE(IsServed(p));
  free(p);
  p = getcwd(nullptr, 0);
  EXPECT_TRUE(IsServed(p));
  free(p);
}

TEST(CLibrary, GetlineGrowsTheProgramsBlock) {
  FILE* stream = tmpfile();
  for (int i = 1; i < 3000; i *= 2) fprintf(stream, "%s\n", std::string(static_cast<size_t>(i), 'y').c_str());
  rewind(stream);
  size_t size = 4;
  char* line = static_cast<char*>(Hide(malloc(size)));
  for (int i = 1; i < 3000; i *= 2) {
    ASSERT_EQ(getline(&line, &size, stream), i + 1);
    EXPECT_TRUE(IsServed(line));
  }
  free(line);
  fclose(stream);
}

TEST(CLibrary, FreesWhatItAllocated) {
  regex_t expression;
  ASSERT_EQ(regcomp(&expression, "^(a|b)+[[:digit:]]*$", REG_EXTENDED), 0);
  EXPECT_EQ(regexec(&expression, "abba42", 0, nullptr, 0), 0);
  regfree(&expression);
  glob_t found;
  ASSERT_EQ(glob("/proc/self/*", 0, nullptr, &found), 0);
  EXPECT_TRUE(IsServed(found.gl_pathv));
  globfree(&found);
  setenv("TESTING_INTERPOSE", std::string(10'000, 'z').c_str(), 1);
  EXPECT_TRUE(IsServed(getenv("TESTING_INTERPOSE")));
  unsetenv("TESTING_INTERPOSE");
}

TEST(Threads, AreServedEach) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      for (size_t size : kSizes) {
        void* p = Hide(malloc(size));
        EXPECT_TRUE(IsServed(p));
        free(p);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
