// Preloaded behind libhakmem.so: each process tells, in the file that REAL_PROGRAMS_WITNESS names, whether hakmem owns
// a block that its malloc handed out, and which program it is. Works when the program closes its standard streams, and
// costs the program one allocation.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

__attribute__((constructor)) void Testify() {
  const char* const file = getenv("REAL_PROGRAMS_WITNESS");
  if (file == nullptr) return;
  char program[PATH_MAX] = "?";
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length > 0) program[length] = '\0';
  using OwnsFunction = int (*)(const void*);
  const auto owns = reinterpret_cast<OwnsFunction>(reinterpret_cast<uintptr_t>(dlsym(RTLD_DEFAULT, "hak_owns")));
  void* volatile block = malloc(40);
  const int owned = owns != nullptr && owns(block) != 0 ? 1 : 0;
  free(block);
  char line[PATH_MAX + 8];
  const int size = snprintf(line, sizeof line, "%d %s\n", owned, program);
  // One write in append mode, so that lines of processes never mix. Without a witness the test fails, so errors may
  // pass.
  const int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return;
  if (write(fd, line, static_cast<size_t>(size)) != size) abort();
  close(fd);
}

}  // namespace
