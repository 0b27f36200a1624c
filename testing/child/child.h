// Runs a program for a test and keeps what it wrote and how it ended.
#ifndef HAKMEM_TESTING_CHILD_CHILD_H_
#define HAKMEM_TESTING_CHILD_CHILD_H_

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

namespace hakmem::testing {

struct Outcome {
  int status = -1;  // of waitpid(2)
  std::string out;
  std::string err;

  int exit_status() const { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }
  int signal() const { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }
};

inline std::string ReadAll(int fd) {
  std::string text;
  char piece[1 << 14];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t n; (n = read(fd, piece, sizeof(piece))) > 0;) text.append(piece, static_cast<size_t>(n));
  return text;
}

// Runs `command` with `variables` added to the environment, and waits for its end.
inline Outcome RunChild(const std::vector<std::string>& command,
                        const std::vector<std::pair<std::string, std::string>>& variables = {}) {
  const int out = memfd_create("out", 0);
  const int err = memfd_create("err", 0);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execv(words[0], words.data());
    _exit(127);
  }
  Outcome outcome;
  if (waitpid(child, &outcome.status, 0) != child) outcome.status = -1;
  outcome.out = ReadAll(out);
  outcome.err = ReadAll(err);
  close(out);
  close(err);
  return outcome;
}

}  // namespace hakmem::testing

#endif  // HAKMEM_TESTING_CHILD_CHILD_H_
