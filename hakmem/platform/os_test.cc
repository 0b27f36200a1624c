#include "hakmem/platform/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/platform/thread_pointer.h"
#include "testing/support/faults.h"
#include "testing/support/pages.h"
#include "testing/support/sandbox.h"

namespace hakmem::os {
namespace {

constexpr size_t kSize = 64 << 10;

TEST(OsTest, MapReadsAsZeroAndUnmapTakesAway) {
  const MapResult map = Map(nullptr, kSize, false);
  ASSERT_NE(map.ptr, nullptr);
  EXPECT_TRUE(test::IsZero(map.ptr, kSize));
  EXPECT_EQ(Unmap(map.ptr, kSize), 0);
  EXPECT_FALSE(test::IsMapped(map.ptr, kSize));
}

TEST(OsTest, FixedNeverReplaces) {
  test::ForeignMapping foreign(nullptr, kSize, test::ForeignMapping::Access::kReadWrite);
  ASSERT_NE(foreign.get(), nullptr);
  foreign.get()[0] = 7;
  const MapResult map = Map(foreign.get(), kSize, true);
  EXPECT_EQ(map.ptr, nullptr);
  EXPECT_EQ(map.error, EEXIST);
  EXPECT_EQ(foreign.get()[0], 7);
}

TEST(OsTest, PurgeLeavesZeroesAndNoPages) {
  const MapResult map = Map(nullptr, kSize, false);
  ASSERT_NE(map.ptr, nullptr);
  memset(map.ptr, 1, kSize);
  EXPECT_EQ(test::ResidentBytes(map.ptr, kSize), static_cast<long>(kSize));
  EXPECT_EQ(Purge(map.ptr, kSize), 0);
  EXPECT_EQ(test::ResidentBytes(map.ptr, kSize), 0);
  EXPECT_TRUE(test::IsZero(map.ptr, kSize));
  Unmap(map.ptr, kSize);
}

// With the default action, which ends the process.
TEST(OsTest, APipeThatNobodyReadsRaisesNoSignal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  sigset_t before;
  sigprocmask(SIG_BLOCK, nullptr, &before);
  EXPECT_FALSE(Write(ends[1], "hello", 5));
  EXPECT_EQ(WriteOnce(ends[1], "hello", 5), -EPIPE);
  sigset_t after;
  sigprocmask(SIG_BLOCK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal) EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal));
  close(ends[1]);
}

TEST(OsTest, AWriteTakesNoSignalOfThePrograms) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  sigset_t pipe_signal, before, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigprocmask(SIG_BLOCK, &pipe_signal, &before);
  EXPECT_FALSE(Write(ends[1], "hello", 5));
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0) << "of our own write";
  raise(SIGPIPE);
  EXPECT_FALSE(Write(ends[1], "hello", 5));
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 1) << "that the program has yet to see";
  const timespec at_once = {};
  EXPECT_EQ(sigtimedwait(&pipe_signal, nullptr, &at_once), SIGPIPE);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  close(ends[1]);
}

// The thread sanitizer puts handlers off until the thread calls the C library, which a write here does not.
#if !__has_feature(thread_sanitizer)

int g_full_pipe[2];

void MakeRoom(int, siginfo_t*, void* context) {
  char buffer[8192];
  if (read(g_full_pipe[0], buffer, sizeof(buffer)) <= 0) _exit(1);
  sigaddset(&static_cast<ucontext_t*>(context)->uc_sigmask, SIGUSR2);
}

TEST(OsTest, AMaskThatAHandlerHasChangedStaysChanged) {
  EXPECT_TRUE(test::HoldsInChild([] {
    if (pipe2(g_full_pipe, O_NONBLOCK) != 0) return false;
    const std::string filling(4096, 'x');
    while (write(g_full_pipe[1], filling.data(), filling.size()) > 0) {
    }
    fcntl(g_full_pipe[1], F_SETFL, 0);
    struct sigaction action = {};
    action.sa_sigaction = MakeRoom;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGALRM, &action, nullptr);
    alarm(1);
    if (!Write(g_full_pipe[1], "hello", 5)) return false;  // waits for the handler
    sigset_t mask;
    sigprocmask(SIG_BLOCK, nullptr, &mask);
    return sigismember(&mask, SIGUSR2) == 1 && sigismember(&mask, SIGPIPE) == 0;
  }));
}

#endif

TEST(OsTest, AThreadIsFoundByItsThreadPointer) {
  EXPECT_EQ(ThreadIdOf(ThreadPointer()), ThreadId());
  EXPECT_EQ(ThreadIdOf(0), 0);
  EXPECT_EQ(ThreadIdOf(0x1000), 0);
  constexpr unsigned kThreads = 100;
  std::vector<uintptr_t> pointers(kThreads);
  std::vector<int> ids(kThreads);
  std::atomic<unsigned> told{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      pointers[i] = ThreadPointer();
      ids[i] = ThreadId();
      told.fetch_add(1);
      while (!done.load()) usleep(1000);
    });
  }
  while (told.load() != kThreads) usleep(1000);
  for (unsigned i = 0; i < kThreads; ++i) EXPECT_EQ(ThreadIdOf(pointers[i]), ids[i]) << i;
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ThreadIdOf(pointers[0]), 0) << "it has ended";
  EXPECT_TRUE(test::HoldsInChild([] { return ThreadIdOf(ThreadPointer()) == getpid(); }));
}

TEST(OsTest, ResidentBytesAreThoseOfTouchedPages) {
  const size_t page = getauxval(AT_PAGESZ);
  char* const map = static_cast<char*>(Map(nullptr, kSize, false).ptr);
  ASSERT_NE(map, nullptr);
  EXPECT_EQ(ResidentBytes(map, kSize), 0u);
  map[0] = 1;
  map[kSize - 1] = 1;
  EXPECT_EQ(ResidentBytes(map, kSize), 2 * page);
  EXPECT_EQ(ResidentBytes(map, 1), page);
  EXPECT_EQ(ResidentBytes(map + page, kSize - page), page);
  Unmap(map, kSize);
  EXPECT_EQ(ResidentBytes(map, kSize), kSize) << "the system does not tell";
}

TEST(OsTest, NoHugePageReturnsWhereTheProcessGetsNone) {
  const pid_t child = fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) _exit(2);
    _exit(HugePagesReturn() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(OsTest, LockedMemoryIsPurgedWhereTheKernelDoesThat) {
  constexpr int kDontNeedLocked = 24;  // madvise(2), from Linux 5.18 on
  char* map = static_cast<char*>(Map(nullptr, kSize, false).ptr);
  ASSERT_NE(map, nullptr);
  const bool does = madvise(map, kSize, kDontNeedLocked) == 0;
  // A page, which every process may lock by default.
  const size_t page = PageSize();
  ASSERT_EQ(mlock(map, page), 0);
  map[0] = 7;
  EXPECT_EQ(Purge(map, page), does ? 0 : EINVAL);
  if (does) {
    EXPECT_EQ(ResidentBytes(map, page), 0u);
    EXPECT_TRUE(test::IsZero(map, page));
  }
  Unmap(map, kSize);
}

TEST(OsTest, RemapMovesPages) {
  char* from = static_cast<char*>(Map(nullptr, kSize, false).ptr);
  char* to = static_cast<char*>(Map(nullptr, 2 * kSize, false).ptr);
  ASSERT_TRUE(from != nullptr && to != nullptr);
  from[kSize - 1] = 42;
  const MapResult moved = RemapTo(from, kSize, 2 * kSize, to);
  ASSERT_EQ(moved.ptr, to);
  EXPECT_EQ(to[kSize - 1], 42);
  EXPECT_TRUE(test::IsZero(to + kSize, kSize));
  EXPECT_FALSE(test::IsMapped(from, kSize));
  Unmap(to, 2 * kSize);
}

TEST(OsTest, AGapInAMappingIsSeen) {
  const size_t page = PageSize();
  const size_t size = 1200 * page;  // more than one call tells of
  char* const map = static_cast<char*>(Map(nullptr, size, false).ptr);
  ASSERT_NE(map, nullptr);
  EXPECT_EQ(CheckMapped(map, size), 0);
  EXPECT_EQ(CheckMapped(map + 1, page), EINVAL);
  Unmap(map + 1100 * page, page);
  EXPECT_EQ(CheckMapped(map, size), ENOMEM);
  EXPECT_EQ(CheckMapped(map, 1100 * page), 0);
  EXPECT_EQ(CheckMapped(map + 1101 * page, 99 * page), 0);
  Unmap(map, size);
}

TEST(OsTest, FailuresComeBackAndErrnoIsLeftAlone) {
  errno = 1234;
  char* const odd = reinterpret_cast<char*>(uintptr_t{1});
  EXPECT_EQ(Unmap(odd, kSize), EINVAL);
  EXPECT_EQ(Purge(odd, kSize), EINVAL);
  EXPECT_EQ(Map(nullptr, SIZE_MAX / 2, false).ptr, nullptr);
  EXPECT_EQ(OpenForRead("/no/such/file"), -ENOENT);
  EXPECT_FALSE(Write(-1, "x", 1));
  EXPECT_GT(NowMs(), 0u);
  EXPECT_EQ(errno, 1234);
}

TEST(OsTest, WriteWritesAll) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_TRUE(Write(ends[1], "hello", 5));
  char text[8] = {};
  EXPECT_EQ(Read(ends[0], text, sizeof(text)), 5);
  EXPECT_STREQ(text, "hello");
  Close(ends[0]);
  Close(ends[1]);
}

TEST(OsTest, CallsAreCounted) {
  const uint64_t before = CallCount(Call::kMap);
  const MapResult map = Map(nullptr, kSize, false);
  Unmap(map.ptr, kSize);
  EXPECT_EQ(CallCount(Call::kMap), before + 1);
}

TEST(OsTest, Identities) {
  EXPECT_EQ(ProcessId(), getpid());
  EXPECT_EQ(PageSize(), static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_FALSE(IsSecure());
  EXPECT_NE(RandomSeed(), RandomSeed());
}

TEST(OsTest, ReadsOnlyWhatIsThere) {
  const size_t page = PageSize();
  char* const pages = static_cast<char*>(Map(nullptr, 2 * page, false).ptr);
  ASSERT_NE(pages, nullptr);
  Unmap(pages + page, page);
  const auto reads = [&](ptrdiff_t at, size_t size) {
    char to[16] = {};
    memset(pages, 'x', page);
    return ReadMemory(reinterpret_cast<uintptr_t>(pages + at), to, size) &&
           std::string(to, size) == std::string(size, 'x') && to[size] == 0;
  };
  const auto holds = [&] {
    const auto end = static_cast<ptrdiff_t>(page);
    return reads(0, 1) && reads(3, 9) && reads(end - 8, 8) && reads(end - 3, 3) && !reads(end - 3, 4) &&
           !reads(end, 1) && !ReadMemory(8, pages, 8);
  };
  EXPECT_TRUE(holds());
  // The same where the kernel lets no process look into another, itself included.
  EXPECT_TRUE(test::HoldsInChild([&] { return test::RefuseSystemCall(SYS_process_vm_readv, EPERM) && holds(); }));
  EXPECT_TRUE(test::HoldsInChild([&] { return test::RefuseSystemCall(SYS_process_vm_readv, ENOSYS) && holds(); }));
  Unmap(pages, page);
}

// What the kernel hands each program at its start does for once.
TEST(OsTest, ASeedWithoutRandomNumbers) {
  EXPECT_TRUE(test::HoldsInChild([] {
    uint64_t start;
    memcpy(&start, reinterpret_cast<const void*>(getauxval(AT_RANDOM)), sizeof(start));
    return test::RefuseSystemCall(SYS_getrandom, ENOSYS) && RandomSeed() == start;
  }));
}

#if !defined(HAKMEM_BUILD_RELEASE)
TEST(OsTest, TheHookFailsExactlyTheCallsItWants) {
  test::FailingCalls failing(Call::kMap, ENOMEM, 1, 1);
  const MapResult first = Map(nullptr, kSize, false);
  const MapResult second = Map(nullptr, kSize, false);
  const MapResult third = Map(nullptr, kSize, false);
  EXPECT_NE(first.ptr, nullptr);
  EXPECT_EQ(second.ptr, nullptr);
  EXPECT_EQ(second.error, ENOMEM);
  EXPECT_NE(third.ptr, nullptr);
  EXPECT_EQ(Unmap(first.ptr, kSize), 0);
  EXPECT_EQ(Unmap(third.ptr, kSize), 0);
}

TEST(OsTest, PretendedPageSize) {
  {
    test::PretendedPageSize pretended(64 << 10);
    EXPECT_EQ(PageSize(), size_t{64} << 10);
  }
  EXPECT_EQ(PageSize(), static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}
#endif

// Two threads in turn map memory, write it and unmap it, with nothing but the kernel to order what the one did to the
// memory before it was unmapped and what the other does to memory that is mapped there later. For the thread sanitizer:
// it has to know of that.
template <class MapIt, class UnmapIt>
void MapInTurn(MapIt map, UnmapIt unmap) {
  constexpr size_t kSize = size_t{4} << 20;
  constexpr int kRounds = 20;
  std::atomic<int> turn{0};
  std::atomic<char*> last{nullptr};
  std::atomic<int> reused{0};
  const auto take_turns = [&](int mine) {
    for (int i = mine; i < kRounds; i += 2) {
      // Relaxed, all: they must not order the memory.
      while (turn.load(std::memory_order_relaxed) != i) std::this_thread::yield();
      char* at = map(kSize);
      reused.fetch_add(at == last.load(std::memory_order_relaxed), std::memory_order_relaxed);
      last.store(at, std::memory_order_relaxed);
      for (size_t k = 0; k < kSize; k += 4096) at[k] = 1;
      unmap(at, kSize);
      turn.store(i + 1, std::memory_order_relaxed);
    }
  };
  std::thread other([&] { take_turns(1); });
  take_turns(0);
  other.join();
  EXPECT_GT(reused.load(), 0) << "the kernel gave other addresses each time: nothing was tested";
}

TEST(OsTest, AddressesGoFromThreadToThreadThroughTheKernel) {
  MapInTurn([](size_t size) { return static_cast<char*>(Map(nullptr, size, false).ptr); },
            [](char* at, size_t size) { EXPECT_EQ(Unmap(at, size), 0); });
}

TEST(OsTest, AddressesOfPiecesOfAFileDoSoToo) {
  const std::string path = testing::TempDir() + "/pieces";
  const int fd = OpenForMapping(path.c_str(), true);
  ASSERT_GE(fd, 0);
  MapInTurn(
      [fd](size_t size) {
        EXPECT_EQ(ReserveInFile(fd, 0, size), 0);
        return static_cast<char*>(MapPiece(fd, 0, size).ptr);
      },
      [](char* at, size_t size) { UnmapPiece(at, size); });
  Close(fd);
}

}  // namespace
}  // namespace hakmem::os
