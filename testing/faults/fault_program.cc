// Programs with one mistake each, for the test of what hakmem says about it: `fault_program NAME`.
//
// Each prints "block ADDRESS" of the block that the report should name (or the address that it gives back), and then
// does what its name says. The functions have names of their own, which the reports should name, too.
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>

extern "C" {

__attribute__((noinline)) void* AllocateTheBlock(size_t size) {
  void* volatile p = malloc(size);
  return p;
}

__attribute__((noinline)) void FreeTheBlock(void* p) {
  free(p);
  __asm__ volatile("" ::: "memory");  // keeps the call a call
}

__attribute__((noinline)) void FreeAgain(void* p) {
  free(p);
  __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void* ResizeTheBlock(void* p, size_t size) {
  void* volatile to = realloc(p, size);
  return to;
}

// Follows the first word of a block and writes behind it, as `node->next->value = 3` does.
__attribute__((noinline)) void FollowTheBlock(void* p) {
#if defined(__x86_64__)
  __asm__ volatile("mov (%0), %%rax\n\tmovq $3, 8(%%rax)" ::"r"(p) : "rax", "memory");
#else
  struct Node {
    Node* next;
    long value;
  };
  static_cast<volatile Node*>(p)->next->value = 3;
#endif
}

__attribute__((noinline)) int UseUpTheStack(volatile char* above) {
  volatile char here[4096];
  here[0] = above != nullptr ? above[0] : 1;
  return UseUpTheStack(here) + here[0];
}

// The call is the last thing that has a frame.
__attribute__((noinline)) void JumpToNowhere(void (*function)()) {
  function();
  __asm__ volatile("" ::: "memory");
}

}  // extern "C"

namespace {

void* Announce(void* p) {
  printf("block %p\n", p);
  fflush(stdout);
  return p;
}

void DoubleFree() {
  void* p = Announce(AllocateTheBlock(40));
  FreeTheBlock(p);
  FreeAgain(p);
}

void DoubleFreeLater() {
  void* p = Announce(AllocateTheBlock(40));
  void* q = AllocateTheBlock(40);
  void* r = AllocateTheBlock(40);
  FreeTheBlock(p);
  FreeTheBlock(q);
  FreeTheBlock(r);
  FreeAgain(p);
}

void FreeOfStack() {
  long variable[8] = {};
  FreeTheBlock(Announce(&variable[2]));
}

void FreeOfMapping() {
  FreeTheBlock(Announce(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
}

void FreeOfInterior() {
  char* p = static_cast<char*>(Announce(AllocateTheBlock(100)));
  FreeTheBlock(p + 16);
}

void FreeTwiceAfterThreadExit() {
  void* p = nullptr;
  std::thread([&] { p = AllocateTheBlock(40); }).join();
  Announce(p);
  FreeTheBlock(p);
  FreeAgain(p);
}

void UseAfterFree() {
  void* p = Announce(AllocateTheBlock(40));
  memset(p, 0, 40);
  FreeTheBlock(p);
  FollowTheBlock(p);
}

void NullDereference() {
  Announce(reinterpret_cast<void*>(24));
  *reinterpret_cast<volatile int*>(24) = 1;
}

void WrongSizedDelete() {
  void* p = Announce(AllocateTheBlock(100));
  ::operator delete(p, size_t{5000});
}

void ReallocAfterFree() {
  void* p = Announce(AllocateTheBlock(40));
  FreeTheBlock(p);
  ResizeTheBlock(p, 4400);
}

void WriteToLockedBlock() {
  char* p = static_cast<char*>(aligned_alloc(4096, 8192));
  Announce(p);
  mprotect(p, 8192, PROT_READ);
  *const_cast<volatile char*>(p + 100) = 1;
}

void Overflow() {
  Announce(nullptr);
  exit(UseUpTheStack(nullptr));
}

void OverflowInThread() {
  Announce(nullptr);
  std::thread([] {
    FreeTheBlock(AllocateTheBlock(10));
    exit(UseUpTheStack(nullptr));
  }).join();
}

void TwoAtOnce() {
  Announce(nullptr);
  static volatile int ready = 0;
  auto crash = [] {
    FreeTheBlock(AllocateTheBlock(10));
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    while (ready != 2) {
    }
    *reinterpret_cast<volatile int*>(24) = 1;
  };
  std::thread a(crash);
  std::thread b(crash);
  a.join();
  b.join();
}

void OverflowInChild() {
  Announce(nullptr);
  const pid_t child = fork();
  if (child == 0) exit(UseUpTheStack(nullptr));
  int status = 0;
  waitpid(child, &status, 0);
  raise(WTERMSIG(status));
}

void ReadOfCutFile() {
  const int file = memfd_create("file", 0);
  if (ftruncate(file, 8192) != 0) exit(3);
  char* const p = static_cast<char*>(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, file, 0));
  Announce(p + 4096);
  if (ftruncate(file, 4096) != 0) exit(3);
  exit(*const_cast<volatile char*>(p + 4096));
}

void Jump() {
  Announce(reinterpret_cast<void*>(24));
  JumpToNowhere(reinterpret_cast<void (*)()>(24));
}

// Text where a pointer should be.
void WildPointer() {
  Announce(nullptr);
  exit(*reinterpret_cast<volatile char*>(0x6261626162616261));
}

void OwnHandler() {
  Announce(nullptr);
  struct sigaction action = {};
  action.sa_handler = [](int) { _exit(42); };
  sigaction(SIGSEGV, &action, nullptr);
  *reinterpret_cast<volatile int*>(24) = 1;
}

void Abort() {
  Announce(nullptr);
  abort();
}

void Wait() {
  Announce(nullptr);
  for (;;) pause();
}

struct Program {
  const char* name;
  void (*run)();
};

constexpr Program kPrograms[] = {
    {"double-free", DoubleFree},
    {"double-free-later", DoubleFreeLater},
    {"free-stack", FreeOfStack},
    {"free-mapping", FreeOfMapping},
    {"free-interior", FreeOfInterior},
    {"free-twice-after-thread-exit", FreeTwiceAfterThreadExit},
    {"use-after-free", UseAfterFree},
    {"null-dereference", NullDereference},
    {"wrong-sized-delete", WrongSizedDelete},
    {"realloc-after-free", ReallocAfterFree},
    {"write-to-locked-block", WriteToLockedBlock},
    {"stack-overflow", Overflow},
    {"stack-overflow-in-thread", OverflowInThread},
    {"stack-overflow-in-child", OverflowInChild},
    {"read-of-cut-file", ReadOfCutFile},
    {"jump-to-nowhere", Jump},
    {"wild-pointer", WildPointer},
    {"two-at-once", TwoAtOnce},
    {"own-handler", OwnHandler},
    {"abort", Abort},
    {"wait", Wait},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Program& program : kPrograms) {
    if (argc == 2 && strcmp(argv[1], program.name) == 0) {
      program.run();
      return 0;
    }
  }
  fprintf(stderr, "fault_program: one of the names of kPrograms is needed\n");
  return 2;
}
