// The one door to the kernel: every system call that hakmem makes for memory, locks, time and output.
//
// The calls are made raw, not through the C library: they leave errno alone, cannot be intercepted by a tool that
// allocates, and work before the C library is set up. Errors come back as positive errno values.
// Outside release builds a test can make the n-th call fail (SetFaultHook) and pretend another page size.
#ifndef HAKMEM_PLATFORM_OS_H_
#define HAKMEM_PLATFORM_OS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hakmem/platform/build.h"

namespace hakmem::os {

enum class Call : uint8_t { kMap, kUnmap, kPurge, kRemap, kAdvise, kCount };

struct MapResult {
  void* ptr;  // nullptr on failure
  int error;  // errno value, 0 on success
};

// mmap(2), private, anonymous, readable and writable. With `fixed` the mapping is at `hint` or fails with EEXIST
// (MAP_FIXED_NOREPLACE): a mapping of somebody else is never replaced. `reserve` false asks not to account swap.
[[nodiscard]] MapResult Map(void* hint, size_t size, bool fixed, bool reserve = true);

// munmap(2). 0 or errno.
int Unmap(void* ptr, size_t size);

// madvise(2) MADV_DONTNEED: the pages leave the resident set at once and read as zero afterwards. Those that are locked
// into memory as well (MADV_DONTNEED_LOCKED), where the kernel does that: from Linux 5.18 on. 0 or errno.
int Purge(void* ptr, size_t size);

// madvise(2) MADV_HUGEPAGE or MADV_NOHUGEPAGE. A kernel without huge pages answers EINVAL, which is no fault.
int AdviseHuge(void* ptr, size_t size, bool huge);

// mincore(2): bytes of [ptr, ptr + size) that are resident, in whole pages; `ptr` at the start of one, `size` at most 2
// MiB. `size` when the system does not tell.
size_t ResidentBytes(const void* ptr, size_t size);

// mincore(2): 0 when all pages of [ptr, ptr + size) are mapped, ENOMEM when some are not, another errno when the system
// does not tell; `ptr` at the start of a page.
int CheckMapped(const void* ptr, size_t size);

// Whether memory that lay in small pages can be a huge page after it was purged: huge pages are given to this process,
// and the kernel (on x86-64 from 6.14 on) gives up the page table with the last page. Looked up once.
bool HugePagesReturn();

// mremap(2) to exactly `to`, where a mapping of our own of `new_size` bytes already stands and is replaced. A failure
// may have unmapped that; and from Linux 6.17 on, where both sizes are the same, it may have moved the first of several
// areas of the kernel's list.
[[nodiscard]] MapResult RemapTo(void* from, size_t old_size, size_t new_size, void* to);

// The least of the process's limits of address space and of data (getrlimit(2)), in bytes; UINT64_MAX for none.
uint64_t MemoryLimit();

// The system's page size in bytes, or the pretended one.
size_t PageSize();

// Milliseconds of CLOCK_MONOTONIC_COARSE.
uint64_t NowMs();
// Nanoseconds of CLOCK_MONOTONIC, and of CLOCK_REALTIME since 1970.
uint64_t NowNs();
uint64_t UnixNs();

// futex(2), private: waits while `*word` equals `expected`; wakes `count` waiters.
void FutexWait(std::atomic<uint32_t>* word, uint32_t expected);
void FutexWaitMs(std::atomic<uint32_t>* word, uint32_t expected, uint64_t ms);
void FutexWake(std::atomic<uint32_t>* word, int count);

// write(2), retried on EINTR and short writes. Returns false when the descriptor takes no more. A pipe that nobody
// reads raises no SIGPIPE, here and below.
bool Write(int fd, const char* data, size_t size);

// One write(2). Byte count or -errno; IsTransient tells those after which another try may do.
intptr_t WriteOnce(int fd, const char* data, size_t size);
bool IsTransient(intptr_t result);
// poll(2): whether the descriptor takes more within `ms`.
bool WaitWritable(int fd, uint64_t ms);
// Whether the descriptor is that of a file that has a place to write at: no pipe, no terminal.
bool IsSeekable(int fd);

// Copies memory of this process that may not be there. False when any of it cannot be read.
bool ReadMemory(uint64_t from, void* to, size_t size);

// Sends `signal` to the calling thread alone.
void SendToThread(int signal);
// errno, for a signal handler that has to leave it alone.
int SavedErrno();
void RestoreErrno(int saved);

// open(2) of a file for appended output, created with mode 0644. Does not wait for the reader of a pipe. Descriptor or
// -errno.
int OpenForReport(const char* path);
// open(2) of a file that is to be written anew. Does not wait for the reader of a pipe. Descriptor or -errno.
int OpenForDump(const char* path);
// open(2), read(2), close(2) for files of /proc. Descriptor, byte count or -errno.
int OpenForRead(const char* path);
intptr_t Read(int fd, void* buffer, size_t size);
void Close(int fd);

// A regular file mapped whole for reading, for reports that allocate nothing. nullptr, with errno in `error`, on
// failure. UnmapFile takes it away. Neither is counted among the calls for memory.
struct FileMapping {
  const char* data;
  size_t size;
  int error;
};
[[nodiscard]] FileMapping MapFile(const char* path);
void UnmapFile(const FileMapping& file);

// A file that grows and is mapped piece by piece while it is written. None of these is counted among the calls for
// memory.
//
// open(2) for reading and writing; with `create` the file is made when it is not there. Does not wait for anything.
// Descriptor or -errno.
int OpenForMapping(const char* path, bool create);
// statx(2). False when it fails.
struct FileStatus {
  uint64_t device;
  uint64_t inode;
  bool is_regular;
};
bool GetFileStatus(int fd, FileStatus* status);
// flock(2), exclusive, without waiting; held until the descriptor is closed and no mapping made by it is left. 0 or
// errno.
int LockFile(int fd);
// ftruncate(2) to nothing. 0 or errno.
int EmptyFile(int fd);
// Makes sure that the disk has room for this piece of the file, which grows to hold it (fallocate(2); zeroes are
// written where the file system cannot do that). A store to the mapped piece then raises no SIGBUS. Looks at
// RLIMIT_FSIZE first, beyond which the kernel would send SIGXFSZ. 0 or errno.
int ReserveInFile(int fd, uint64_t offset, size_t size);
// mmap(2), shared and writable, with its pages present. UnmapPiece takes it away.
[[nodiscard]] MapResult MapPiece(int fd, uint64_t offset, size_t size);
void UnmapPiece(void* ptr, size_t size);
// A page that reads as zero in every child, whoever forks it and how (MADV_WIPEONFORK of madvise(2), where the kernel
// knows it). nullptr without memory.
void* MapWipedOnFork();
// The working directory, absolute. False when it has no name or that does not fit.
bool WorkingDirectory(char* buffer, size_t size);

int ThreadId();
// Of the thread with that thread pointer; 0: there is none, or it cannot be told. For reports: looks at all threads.
int ThreadIdOf(uintptr_t thread_pointer);
int ProcessId();
// Fills `out` with 8 random bytes (getrandom(2), then the auxiliary vector's AT_RANDOM).
uint64_t RandomSeed();
// True in a set-uid or set-gid program (AT_SECURE), where the environment is not to be trusted.
bool IsSecure();

// Number of calls of each kind since the start; what statistics print.
uint64_t CallCount(Call call);

#if !defined(HAKMEM_BUILD_RELEASE)
// Tests only: called before each system call of the kinds above; a non-zero answer is the errno that the call then
// fails with. nullptr takes the hook away.
using FaultHook = int (*)(Call call);
void SetFaultHook(FaultHook hook);
// Tests only: pretends a larger page size (a power of two, at least the real one); 0 goes back to the real one.
void SetPageSizeForTest(size_t size);
#endif

}  // namespace hakmem::os

#endif  // HAKMEM_PLATFORM_OS_H_
