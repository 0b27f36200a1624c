// Threads in the middle of something that neither a lock nor a heap's busy flag tells of. A signal handler that forks
// asks whether it has interrupted its own thread there.
#ifndef HAKMEM_PLATFORM_AT_WORK_H_
#define HAKMEM_PLATFORM_AT_WORK_H_

#include <atomic>
#include <cstdint>

namespace hakmem {

// The calling thread is at work as long as this lives. As far as there is room, which 64 threads have: a thread-local
// word would not do, the library has one pointer of these.
class AtWork {
 public:
  AtWork();
  ~AtWork();
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

  static bool IsCaller();
  // In a forked child: the threads that are gone are at work no more.
  static void ForgetOthers();

 private:
  std::atomic<uintptr_t>* mine_ = nullptr;
};

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_AT_WORK_H_
