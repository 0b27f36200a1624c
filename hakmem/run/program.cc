#include "hakmem/run/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>

namespace hakmem::run {
namespace {

// execve(2) follows at most this many interpreter lines, and reads this much of one.
constexpr int kMostInterpreters = 4;
constexpr size_t kInterpreterLine = 255;

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#else
#error "hakmem runs on x86-64 and AArch64"
#endif

Program Refuse(int status, const std::string& message) {
  Program refused;
  refused.status = status;
  refused.message = message;
  return refused;
}

Program CannotRun(const std::string& message) { return Refuse(kStatusCannotRun, message); }

class File {
 public:
  explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  bool is_open() const { return fd_ >= 0; }

  // Bytes read, which may be fewer than asked for; 0 at the end and on errors.
  size_t ReadAt(uint64_t offset, void* out, size_t size) const {
    const ssize_t n = pread(fd_, out, size, static_cast<off_t>(offset));
    return n < 0 ? 0 : static_cast<size_t>(n);
  }

 private:
  int fd_;
};

enum class Privileges { kNone, kSetUid, kSetGid, kCapabilities };

Privileges PrivilegesOf(const std::string& path, const struct stat& status) {
  if ((status.st_mode & S_ISUID) != 0) return Privileges::kSetUid;
  // Without group execution the bit means mandatory locking (inode(7)).
  if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0) return Privileges::kSetGid;
  if (getxattr(path.c_str(), "security.capability", nullptr, 0) > 0) return Privileges::kCapabilities;
  return Privileges::kNone;
}

Program CheckElf(const std::string& name, const std::string& path, const struct stat& status, const File& file) {
  switch (PrivilegesOf(path, status)) {
    case Privileges::kNone: break;
    case Privileges::kSetUid: return CannotRun(name + " is set-uid: the system ignores LD_PRELOAD for it");
    case Privileges::kSetGid: return CannotRun(name + " is set-gid: the system ignores LD_PRELOAD for it");
    case Privileges::kCapabilities:
      return CannotRun(name + " has file capabilities: the system ignores LD_PRELOAD for it");
  }
  Elf64_Ehdr header;
  const size_t got = file.ReadAt(0, &header, sizeof(header));
  if (got > EI_CLASS && header.e_ident[EI_CLASS] == ELFCLASS32) {
    return CannotRun(name + " is a 32-bit program, libhakmem.so is 64-bit");
  }
  if (got < sizeof(header) || header.e_ident[EI_CLASS] != ELFCLASS64) return CannotRun(name + " is a damaged ELF file");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != kMachine) {
    return CannotRun(name + " was built for another kind of machine");
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return CannotRun(name + " is an ELF file but no program");
  }
  for (uint32_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    const uint64_t at = header.e_phoff + uint64_t{i} * header.e_phentsize;
    if (header.e_phentsize < sizeof(segment) || file.ReadAt(at, &segment, sizeof(segment)) < sizeof(segment)) {
      return CannotRun(name + " is a damaged ELF file");
    }
    if (segment.p_type != PT_INTERP) continue;
    std::array<char, 256> text;
    const size_t want = segment.p_filesz < text.size() ? segment.p_filesz : text.size();
    const std::string_view loader(text.data(), file.ReadAt(segment.p_offset, text.data(), want));
    if (loader.find("ld-musl") != std::string_view::npos) {
      return CannotRun(name + " runs on the C library musl, libhakmem.so needs glibc");
    }
    Program accepted;
    accepted.path = path;
    return accepted;
  }
  return CannotRun(name + " is statically linked: no library can be preloaded into it");
}

// The interpreter that the line names; empty when it names none.
std::string InterpreterIn(std::string_view start) {
  start.remove_prefix(2);
  start = start.substr(0, start.find_first_of(std::string_view("\n\0", 2)));
  const size_t first = start.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  start.remove_prefix(first);
  return std::string(start.substr(0, start.find_first_of(" \t")));
}

Program Check(const std::string& name, const std::string& path, int interpreters) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    return Refuse(missing ? kStatusNotFound : kStatusCannotRun, name + ": " + strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) return CannotRun(name + " is a directory");
  if (!S_ISREG(status.st_mode)) return CannotRun(name + " is not a regular file");
  if (access(path.c_str(), X_OK) != 0) return CannotRun(name + " is not executable: " + strerror(errno));

  Program accepted;
  accepted.path = path;
  const File file(path);
  if (!file.is_open()) return accepted;
  char start[kInterpreterLine + 1];
  const size_t got = file.ReadAt(0, start, sizeof(start));
  const std::string_view text(start, got);
  if (text.substr(0, SELFMAG) == std::string_view(ELFMAG, SELFMAG)) return CheckElf(name, path, status, file);
  if (text.substr(0, 2) == "#!") {
    if (interpreters == kMostInterpreters) return CannotRun(name + " has too many interpreters one upon the other");
    const std::string interpreter = InterpreterIn(text);
    if (interpreter.empty()) return CannotRun(name + " names no interpreter behind #!");
    Program checked = Check(interpreter + " (the interpreter of " + name + ")", interpreter, interpreters + 1);
    checked.path = path;
    return checked;
  }
  if (text.substr(0, text.find('\n')).find('\0') != std::string_view::npos) {
    return CannotRun(name + " is neither a program nor a script");
  }
  accepted.by_shell = true;
  return accepted;
}

}  // namespace

Program FindProgram(const std::string& name, const char* path_variable) {
  if (name.empty()) return Refuse(kStatusNotFound, "the program's name is empty");
  Program found;
  if (name.find('/') != std::string::npos) {
    found.path = name;
    return found;
  }
  const std::string_view directories = path_variable == nullptr ? "/bin:/usr/bin" : path_variable;
  std::string denied;
  for (size_t from = 0; from <= directories.size();) {
    size_t to = directories.find(':', from);
    if (to == std::string_view::npos) to = directories.size();
    const std::string directory(directories.substr(from, to - from));
    from = to + 1;
    // An empty directory is the current one (execvp(3), POSIX on PATH).
    const std::string path = directory.empty() ? "./" + name : directory + "/" + name;
    struct stat status;
    if (stat(path.c_str(), &status) != 0) {
      if (errno == EACCES && denied.empty()) denied = path;
      continue;
    }
    if (S_ISREG(status.st_mode) && access(path.c_str(), X_OK) == 0) {
      found.path = path;
      return found;
    }
    if (S_ISREG(status.st_mode) && denied.empty()) denied = path;
  }
  if (!denied.empty()) return CannotRun(name + ": " + denied + " is not executable");
  return Refuse(kStatusNotFound, name + ": no such program in PATH");
}

Program CheckProgram(const std::string& name, const std::string& path) { return Check(name, path, 0); }

}  // namespace hakmem::run
