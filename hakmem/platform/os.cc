#include "hakmem/platform/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>

#include "hakmem/platform/compiler.h"
#include "hakmem/platform/kernel_order.h"
#include "hakmem/platform/thread_pointer.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

namespace hakmem::os {
namespace {

// syscall(2) of the C library would set errno; free() may not.
intptr_t Syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#else
  int saved = errno;
  intptr_t result = syscall(number, a, b, c, d, e, f);
  if (result == -1) result = -errno;
  errno = saved;
  return result;
#endif
}

long AsLong(const void* p) { return reinterpret_cast<long>(p); }
bool Failed(intptr_t result) { return result < 0 && result >= -4095; }

// Relaxed everywhere: a count that is only printed orders nothing.
std::atomic<uint64_t> call_counts[static_cast<size_t>(Call::kCount)];

#if !defined(HAKMEM_BUILD_RELEASE)
std::atomic<FaultHook> fault_hook{nullptr};
std::atomic<size_t> pretended_page_size{0};
#endif

// Counts the call; the errno that a test wants it to fail with, else 0.
int Enter(Call call) {
  call_counts[static_cast<size_t>(call)].fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
#if !defined(HAKMEM_BUILD_RELEASE)
  // Acquire: what the test prepared before it set the hook is visible to the hook.
  if (FaultHook hook = fault_hook.load(std::memory_order_acquire); hook != nullptr) return hook(call);
#endif
  return 0;
}

uint64_t NsOf(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

MapResult ToMapResult(intptr_t result) {
  if (Failed(result)) return {nullptr, static_cast<int>(-result)};
  return {reinterpret_cast<void*>(result), 0};
}

}  // namespace

MapResult Map(void* hint, size_t size, bool fixed, bool reserve) {
  if (int error = Enter(Call::kMap); error != 0) return {nullptr, error};
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | (fixed ? MAP_FIXED_NOREPLACE : 0) | (reserve ? 0 : MAP_NORESERVE);
  MapResult r = ToMapResult(Syscall(SYS_mmap, AsLong(hint), size, PROT_READ | PROT_WRITE, flags, -1, 0));
  if (fixed && r.ptr != nullptr && r.ptr != hint) {
    // A kernel before 4.17 takes the address for a mere hint.
    Syscall(SYS_munmap, AsLong(r.ptr), size);
    return {nullptr, EEXIST};
  }
  if (r.ptr != nullptr) AddressesArrive(r.ptr, size);
  return r;
}

int Unmap(void* ptr, size_t size) {
  if (int error = Enter(Call::kUnmap); error != 0) return error;
  AddressesLeave(ptr, size);
  return static_cast<int>(-Syscall(SYS_munmap, AsLong(ptr), size));
}

int Purge(void* ptr, size_t size) {
  if (int error = Enter(Call::kPurge); error != 0) return error;
  intptr_t result = Syscall(SYS_madvise, AsLong(ptr), size, MADV_DONTNEED);
  // Locked, or a fault of ours: a kernel that does not know this either says EINVAL again.
  if (result == -EINVAL) result = Syscall(SYS_madvise, AsLong(ptr), size, MADV_DONTNEED_LOCKED);
  return static_cast<int>(-result);
}

int AdviseHuge(void* ptr, size_t size, bool huge) {
  if (int error = Enter(Call::kAdvise); error != 0) return error;
  return static_cast<int>(-Syscall(SYS_madvise, AsLong(ptr), size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
}

size_t ResidentBytes(const void* ptr, size_t size) {
  unsigned char pages[512];
  const size_t page = getauxval(AT_PAGESZ);
  const size_t count = (size + page - 1) / page;
  if (count > sizeof(pages) || Failed(Syscall(SYS_mincore, AsLong(ptr), static_cast<long>(size), AsLong(pages)))) {
    return size;
  }
  size_t resident = 0;
  for (size_t i = 0; i < count; ++i) resident += (pages[i] & 1) != 0 ? page : 0;
  return resident;
}

int CheckMapped(const void* ptr, size_t size) {
  unsigned char pages[512];
  const size_t most = sizeof(pages) * getauxval(AT_PAGESZ);
  const char* const start = static_cast<const char*>(ptr);
  for (size_t at = 0; at < size; at += most) {
    const size_t part = size - at < most ? size - at : most;
    const intptr_t result = Syscall(SYS_mincore, AsLong(start + at), static_cast<long>(part), AsLong(pages));
    if (Failed(result)) return static_cast<int>(-result);
  }
  return 0;
}

namespace {

bool HasText(const char* path, const char* text) {
  char content[128] = {};
  const int fd = OpenForRead(path);
  if (fd < 0) return false;
  const intptr_t n = Read(fd, content, sizeof(content) - 1);
  Close(fd);
  return n > 0 && strstr(content, text) != nullptr;
}

// The number at `text`, and where it ends.
unsigned long NumberAt(const char* text, const char** end) {
  unsigned long number = 0;
  for (; *text >= '0' && *text <= '9'; ++text) number = number * 10 + static_cast<unsigned long>(*text - '0');
  *end = text;
  return number;
}

bool LookUpHugePagesReturn() {
#if defined(__x86_64__)
  utsname system;
  if (Failed(Syscall(SYS_uname, AsLong(&system)))) return false;
  const char* rest;
  const unsigned long major = NumberAt(system.release, &rest);
  const unsigned long minor = *rest == '.' ? NumberAt(rest + 1, &rest) : 0;
  if (major < 6 || (major == 6 && minor < 14)) return false;
  if (Syscall(SYS_prctl, PR_GET_THP_DISABLE) == 1) return false;
  return !HasText("/sys/kernel/mm/transparent_hugepage/enabled", "[never]");
#else
  return false;
#endif
}

}  // namespace

bool HugePagesReturn() {
  enum : uint8_t { kUnknown, kNo, kYes };
  static std::atomic<uint8_t> cached{kUnknown};
  uint8_t answer = cached.load(std::memory_order_relaxed);  // a lone value, about the same whoever looks it up
  if (HAK_UNLIKELY(answer == kUnknown)) {
    answer = LookUpHugePagesReturn() ? kYes : kNo;
    cached.store(answer, std::memory_order_relaxed);  // as above
  }
  return answer == kYes;
}

MapResult RemapTo(void* from, size_t old_size, size_t new_size, void* to) {
  if (int error = Enter(Call::kRemap); error != 0) return {nullptr, error};
  AddressesLeave(from, old_size);
  const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const MapResult r = ToMapResult(Syscall(SYS_mremap, AsLong(from), old_size, new_size, flags, AsLong(to)));
  if (r.ptr != nullptr) AddressesArrive(r.ptr, new_size);
  return r;
}

uint64_t MemoryLimit() {
  uint64_t least = UINT64_MAX;
  for (const int resource : {RLIMIT_AS, RLIMIT_DATA}) {
    struct {
      uint64_t current, most;  // as the kernel writes them; RLIM_INFINITY is the greatest number
    } limit;
    if (Failed(Syscall(SYS_prlimit64, 0, resource, 0, AsLong(&limit)))) continue;
    if (limit.current < least) least = limit.current;
  }
  return least;
}

size_t PageSize() {
#if !defined(HAKMEM_BUILD_RELEASE)
  if (size_t size = pretended_page_size.load(std::memory_order_relaxed); size != 0) return size;  // a lone value
#endif
  static std::atomic<size_t> cached{0};
  size_t size = cached.load(std::memory_order_relaxed);  // a lone value that is the same whoever computes it
  if (HAK_UNLIKELY(size == 0)) {
    size = getauxval(AT_PAGESZ);
    cached.store(size, std::memory_order_relaxed);  // as above
  }
  return size;
}

uint64_t NowNs() { return NsOf(CLOCK_MONOTONIC); }
uint64_t UnixNs() { return NsOf(CLOCK_REALTIME); }

uint64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

void FutexWait(std::atomic<uint32_t>* word, uint32_t expected) {
  Syscall(SYS_futex, AsLong(word), FUTEX_WAIT_PRIVATE, expected);
}

void FutexWaitMs(std::atomic<uint32_t>* word, uint32_t expected, uint64_t ms) {
  timespec limit = {static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1000000};
  Syscall(SYS_futex, AsLong(word), FUTEX_WAIT_PRIVATE, expected, AsLong(&limit));
}

void FutexWake(std::atomic<uint32_t>* word, int count) { Syscall(SYS_futex, AsLong(word), FUTEX_WAKE_PRIVATE, count); }

namespace {

// While there is one, no SIGPIPE of its writes reaches the calling thread: it would end a program that goes on after
// misuse, or hide the abort behind a report. Blocked instead of ignored, as the action belongs to the whole process.
// (A handler that interrupts the write and leaves by longjmp(3) leaves SIGPIPE blocked; by siglongjmp(3) it does not.)
class NoSigpipe {
 public:
  NoSigpipe() {
    uint64_t before = 0;
    blocked_ = Syscall(SYS_rt_sigprocmask, SIG_BLOCK, AsLong(&kPipe), AsLong(&before), sizeof(before)) == 0;
    was_blocked_ = (before & kPipe) != 0;
    if (!was_blocked_) return;  // else one would have been delivered
    // One that waits already is the program's, and a second one does not count.
    uint64_t pending = 0;
    Syscall(SYS_rt_sigpending, AsLong(&pending), sizeof(pending));
    was_pending_ = (pending & kPipe) != 0;
  }
  ~NoSigpipe() {
    if (!blocked_) return;  // some sandboxes refuse it
    const timespec at_once = {};
    if (raised_ && !was_pending_) Syscall(SYS_rt_sigtimedwait, AsLong(&kPipe), 0, AsLong(&at_once), sizeof(kPipe));
    // Nothing else of the mask: a handler that came meanwhile may have changed it.
    if (!was_blocked_) Syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, AsLong(&kPipe), 0, sizeof(kPipe));
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

  // What write(2) returned.
  intptr_t Note(intptr_t result) {
    raised_ = raised_ || result == -EPIPE;
    return result;
  }

 private:
  static constexpr uint64_t kPipe = uint64_t{1} << (SIGPIPE - 1);  // a set of signals, as the kernel has it
  bool blocked_ = false;
  bool was_blocked_ = false;
  bool was_pending_ = false;
  bool raised_ = false;
};

}  // namespace

bool Write(int fd, const char* data, size_t size) {
  NoSigpipe no_sigpipe;
  while (size != 0) {
    intptr_t n = no_sigpipe.Note(Syscall(SYS_write, fd, AsLong(data), size));
    if (n == -EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

intptr_t WriteOnce(int fd, const char* data, size_t size) {
  NoSigpipe no_sigpipe;
  return no_sigpipe.Note(Syscall(SYS_write, fd, AsLong(data), size));
}

bool IsTransient(intptr_t result) { return result == -EINTR || result == -EAGAIN; }
bool IsSeekable(int fd) { return !Failed(Syscall(SYS_lseek, fd, 0, SEEK_CUR)); }

bool WaitWritable(int fd, uint64_t ms) {
  pollfd entry = {fd, POLLOUT, 0};
  const timespec limit = {static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1000000};
  timespec left = limit;  // the kernel changes it
  const intptr_t n = Syscall(SYS_ppoll, AsLong(&entry), 1, AsLong(&left));
  return n == 1 && (entry.revents & POLLOUT) != 0;
}

bool ReadMemory(uint64_t from, void* to, size_t size) {
  // Some sandboxes refuse the call, and old ones do not know it.
  static std::atomic<bool> refused{false};
  if (!refused.load(std::memory_order_relaxed)) {  // a lone flag
    const iovec local = {to, size};
    const iovec remote = {reinterpret_cast<void*>(from), size};
    const intptr_t n = Syscall(SYS_process_vm_readv, ProcessId(), AsLong(&local), 1, AsLong(&remote), 1);
    if (n == static_cast<intptr_t>(size)) return true;
    if (n != -EPERM && n != -ENOSYS) return false;
    refused.store(true, std::memory_order_relaxed);  // as above
  }
  // rt_sigprocmask(2) with an order that there is not: the kernel reads the eight bytes first, so EFAULT tells that
  // they are not there, and EINVAL that they are. It changes nothing either way.
  constexpr int kNoOrder = 0x7fff;
  for (uint64_t at = from & ~uint64_t{7}; at < from + size; at += 8) {
    if (Syscall(SYS_rt_sigprocmask, kNoOrder, static_cast<long>(at), 0, 8) == -EFAULT) return false;
  }
  const auto* bytes = reinterpret_cast<const volatile unsigned char*>(from);
  for (size_t i = 0; i < size; ++i) static_cast<unsigned char*>(to)[i] = bytes[i];
  return true;
}

void SendToThread(int signal) { Syscall(SYS_tgkill, ProcessId(), ThreadId(), signal); }
int SavedErrno() { return errno; }
void RestoreErrno(int saved) { errno = saved; }

int OpenForReport(const char* path) {
  return static_cast<int>(Syscall(SYS_openat, AT_FDCWD, AsLong(path),
                                  O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
}

int OpenForDump(const char* path) {
  return static_cast<int>(Syscall(SYS_openat, AT_FDCWD, AsLong(path),
                                  O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
}

int OpenForRead(const char* path) {
  return static_cast<int>(Syscall(SYS_openat, AT_FDCWD, AsLong(path), O_RDONLY | O_CLOEXEC));
}

intptr_t Read(int fd, void* buffer, size_t size) { return Syscall(SYS_read, fd, AsLong(buffer), size); }
void Close(int fd) { Syscall(SYS_close, fd); }

FileMapping MapFile(const char* path) {
  // Non-blocking: a pipe or a device of that name is not waited for.
  const intptr_t fd = Syscall(SYS_openat, AT_FDCWD, AsLong(path), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (Failed(fd)) return {nullptr, 0, static_cast<int>(-fd)};
  FileMapping file = {nullptr, 0, EINVAL};
  // fstat(2), whose structure differs between machines, would tell the size as well.
  const intptr_t size = Syscall(SYS_lseek, fd, 0, SEEK_END);
  if (size > 0) {
    const intptr_t address = Syscall(SYS_mmap, 0, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (Failed(address)) {
      file.error = static_cast<int>(-address);
    } else {
      file = {reinterpret_cast<const char*>(address), static_cast<size_t>(size), 0};
    }
  }
  Close(static_cast<int>(fd));
  return file;
}

void UnmapFile(const FileMapping& file) {
  if (file.data != nullptr) Syscall(SYS_munmap, AsLong(file.data), static_cast<long>(file.size));
}

int OpenForMapping(const char* path, bool create) {
  const int flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (create ? O_CREAT : 0);
  return static_cast<int>(Syscall(SYS_openat, AT_FDCWD, AsLong(path), flags, 0644));
}

bool GetFileStatus(int fd, FileStatus* status) {
  struct statx found;
  const unsigned wanted = STATX_TYPE | STATX_INO;
  if (Failed(Syscall(SYS_statx, fd, AsLong(""), AT_EMPTY_PATH, wanted, AsLong(&found)))) return false;
  status->device = (uint64_t{found.stx_dev_major} << 32) | found.stx_dev_minor;
  status->inode = found.stx_ino;
  status->is_regular = S_ISREG(found.stx_mode);
  return true;
}

int LockFile(int fd) { return static_cast<int>(-Syscall(SYS_flock, fd, LOCK_EX | LOCK_NB)); }
int EmptyFile(int fd) { return static_cast<int>(-Syscall(SYS_ftruncate, fd, 0)); }

int ReserveInFile(int fd, uint64_t offset, size_t size) {
  rlimit limit;
  if (!Failed(Syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, AsLong(&limit))) && offset + size > limit.rlim_cur) {
    return EFBIG;
  }
  intptr_t result;
  do {
    result = Syscall(SYS_fallocate, fd, 0, static_cast<long>(offset), static_cast<long>(size));
  } while (result == -EINTR);
  if (result != -EOPNOTSUPP && result != -ENOSYS) return static_cast<int>(-result);
  static constexpr char kZeroes[4096] = {};
  while (size != 0) {
    const size_t piece = size < sizeof(kZeroes) ? size : sizeof(kZeroes);
    result = Syscall(SYS_pwrite64, fd, AsLong(kZeroes), piece, static_cast<long>(offset));
    if (result == -EINTR) continue;
    if (result <= 0) return result == 0 ? ENOSPC : static_cast<int>(-result);
    offset += static_cast<uint64_t>(result);
    size -= static_cast<size_t>(result);
  }
  return 0;
}

MapResult MapPiece(int fd, uint64_t offset, size_t size) {
  const MapResult r = ToMapResult(Syscall(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_POPULATE, fd, static_cast<long>(offset)));
  if (r.ptr != nullptr) AddressesArrive(r.ptr, size);
  return r;
}

void UnmapPiece(void* ptr, size_t size) {
  AddressesLeave(ptr, size);
  Syscall(SYS_munmap, AsLong(ptr), static_cast<long>(size));
}

void* MapWipedOnFork() {
  const size_t size = getauxval(AT_PAGESZ);
  const intptr_t page =
      Syscall(SYS_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (Failed(page)) return nullptr;
  Syscall(SYS_madvise, page, static_cast<long>(size), MADV_WIPEONFORK);
  return reinterpret_cast<void*>(page);
}

bool WorkingDirectory(char* buffer, size_t size) {
  // Of a directory outside of the process's root the kernel says so in front of the name.
  const intptr_t length = Syscall(SYS_getcwd, AsLong(buffer), static_cast<long>(size));
  return length > 0 && buffer[0] == '/';
}

int ThreadId() { return static_cast<int>(Syscall(SYS_gettid)); }

namespace {

// Where the C library has told the kernel that the thread's list of robust mutexes is (set_robust_list(2)); 0: not
// told.
uintptr_t RobustList(int thread) {
  void* head = nullptr;
  size_t size = 0;
  return Failed(Syscall(SYS_get_robust_list, thread, AsLong(&head), AsLong(&size))) ? 0
                                                                                    : reinterpret_cast<uintptr_t>(head);
}

// What getdents64(2) writes.
struct DirectoryEntry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

}  // namespace

int ThreadIdOf(uintptr_t thread_pointer) {
  if (thread_pointer == ThreadPointer()) return ThreadId();
  const uintptr_t own = RobustList(0);
  if (thread_pointer == 0 || own == 0) return 0;
  const uintptr_t wanted = own - ThreadPointer() + thread_pointer;  // at the same place in each thread's control block
  const auto fd =
      static_cast<int>(Syscall(SYS_openat, AT_FDCWD, AsLong("/proc/self/task"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd < 0) return 0;
  int found = 0;
  alignas(DirectoryEntry) char entries[1024];
  for (intptr_t size = 1; size > 0 && found == 0;) {
    size = Syscall(SYS_getdents64, fd, AsLong(entries), sizeof(entries));
    for (intptr_t at = 0; at < size && found == 0;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      int thread = 0;
      for (const char* c = entry->name; *c >= '0' && *c <= '9'; ++c) thread = thread * 10 + (*c - '0');
      if (thread != 0 && RobustList(thread) == wanted) found = thread;
      at += entry->length;
    }
  }
  Close(fd);
  return found;
}

int ProcessId() { return static_cast<int>(Syscall(SYS_getpid)); }

uint64_t RandomSeed() {
  uint64_t seed = 0;
  constexpr int kNonBlocking = 1;
  if (Syscall(SYS_getrandom, AsLong(&seed), sizeof(seed), kNonBlocking) == sizeof(seed)) return seed;
  // 16 random bytes, at any address (getauxval(3)).
  if (const auto* bytes = reinterpret_cast<const char*>(getauxval(AT_RANDOM)); bytes != nullptr) {
    memcpy(&seed, bytes, sizeof(seed));
  }
  return seed;
}

bool IsSecure() { return getauxval(AT_SECURE) != 0; }

uint64_t CallCount(Call call) {
  return call_counts[static_cast<size_t>(call)].load(std::memory_order_relaxed);  // a count, orders nothing
}

#if !defined(HAKMEM_BUILD_RELEASE)
void SetFaultHook(FaultHook hook) {
  fault_hook.store(hook, std::memory_order_release);  // publishes what the test prepared
}
void SetPageSizeForTest(size_t size) {
  pretended_page_size.store(size, std::memory_order_relaxed);  // a lone value
}
#endif

}  // namespace hakmem::os
