// A thread opens a library with hakmem in it, uses it, closes it, and ends: the library stays, as it is called then.
//
// usage: closed_program LIBRARY
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::thread user([&] {
    for (int i = 0; i < 3; ++i) {
      void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
      if (library == nullptr) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
      }
      const auto work = reinterpret_cast<bool (*)()>(dlsym(library, "Work"));
      if (work == nullptr || !work()) exit(1);
      if (dlclose(library) != 0) exit(1);
    }
  });
  user.join();
  // The handlers of a fork are called, too.
  const pid_t child = fork();
  if (child == 0) _exit(0);
  int status = -1;
  if (waitpid(child, &status, 0) != child || status != 0) return 1;
  puts("closed");
  return 0;
}
