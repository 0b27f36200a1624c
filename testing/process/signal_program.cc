// A signal handler that allocates, at each single instruction of a call of malloc or free: how many of these points
// leave the heap damaged?
//
// malloc(3) is not async-signal-safe, so no program may rely on any of this; many do. The processor's trap flag raises
// SIGTRAP after each instruction of the call, and a child process for each instruction acts at that one and then looks
// for blocks that were handed out twice or lost their contents.
//
// usage: signal_program malloc|refill|free SIZE keeps|frees HANDLERS_SIZE
// prints: "points N damaged M"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <vector>

namespace {

enum class Call { kMalloc, kRefill, kFree };

// One experiment.
Call g_call;
size_t g_size;
bool g_handler_keeps;
size_t g_handler_size;
long g_act_at;

volatile bool g_stepping = false;
volatile long g_steps = 0;
void* g_kept = nullptr;

void Step(int) {
  if (!g_stepping) return;
  const long step = g_steps;
  g_steps = step + 1;
  if (step != g_act_at) return;
  void* p = malloc(g_handler_size);
  memset(p, 0x33, g_handler_size);
  if (g_handler_keeps) {
    g_kept = p;
  } else {
    free(p);
  }
}

__attribute__((always_inline)) inline void StartStepping() {
  g_stepping = true;
  __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
}
__attribute__((always_inline)) inline void StopStepping() {
  __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
  g_stepping = false;
}

bool Holds(const void* p, unsigned char byte, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (static_cast<const unsigned char*>(p)[i] != byte) return false;
  }
  return true;
}

// Whether the heap came through.
bool Run() {
  std::set<void*> live;
  std::vector<void*> warm;
  if (g_call != Call::kRefill) {
    for (int i = 0; i < 40; ++i) warm.push_back(malloc(g_size));
    for (int i = 0; i < 20; ++i) free(warm[i]);
    live.insert(warm.begin() + 20, warm.end());
  }
  void* got = nullptr;
  if (g_call == Call::kFree) {
    void* victim = warm[30];
    live.erase(victim);
    StartStepping();
    free(victim);
    StopStepping();
  } else {
    StartStepping();
    got = malloc(g_size);
    StopStepping();
    if (!live.insert(got).second) return false;
    memset(got, 0x44, g_size);
  }
  if (g_kept != nullptr && !live.insert(g_kept).second) return false;
  for (int i = 0; i < 200; ++i) {
    const size_t size = i % 2 == 0 ? g_size : g_handler_size;
    void* p = malloc(size);
    if (!live.insert(p).second) return false;
    memset(p, 0x55, size);
  }
  return (got == nullptr || Holds(got, 0x44, g_size)) && (g_kept == nullptr || Holds(g_kept, 0x33, g_handler_size));
}

// The number of steps, 0 when the child found damage, crashed or hung.
long RunInChild(long act_at) {
  int ends[2];
  if (pipe(ends) != 0) exit(2);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    g_act_at = act_at;
    const long result = Run() ? g_steps : 0;
    _exit(write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
  }
  close(ends[1]);
  long result = 0;
  if (read(ends[0], &result, sizeof result) != sizeof result) result = 0;
  close(ends[0]);
  waitpid(pid, nullptr, 0);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  g_call = strcmp(argv[1], "malloc") == 0 ? Call::kMalloc : strcmp(argv[1], "free") == 0 ? Call::kFree : Call::kRefill;
  g_size = strtoul(argv[2], nullptr, 10);
  g_handler_keeps = strcmp(argv[3], "keeps") == 0;
  g_handler_size = strtoul(argv[4], nullptr, 10);
  signal(SIGTRAP, Step);
  // The handler never acts: how long is the call?
  const long points = RunInChild(-1);
  long damaged = 0;
  // Of a long way not every point.
  const long stride = points / 150 + 1;
  for (long i = 0; i < points; i += stride) damaged += RunInChild(i) == 0 ? 1 : 0;
  printf("points %ld damaged %ld\n", points, damaged);
  return points > 0 ? 0 : 1;
}
