// Files for tests that look like programs of many kinds.
#ifndef HAKMEM_RUN_PROGRAM_FILES_H_
#define HAKMEM_RUN_PROGRAM_FILES_H_

#include <elf.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace hakmem::run {

// A directory of its own, removed with all that is in it.
class ProgramFiles {
 public:
  ProgramFiles() {
    std::string pattern = ::testing::TempDir() + "/programs.XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) directory_ = pattern;
  }
  ProgramFiles(const ProgramFiles&) = delete;
  ProgramFiles& operator=(const ProgramFiles&) = delete;
  ~ProgramFiles() {
    const std::string command = "rm -rf '" + directory_ + "'";
    if (!directory_.empty() && system(command.c_str()) != 0) ADD_FAILURE() << command;
  }

  const std::string& directory() const { return directory_; }

  std::string Write(const std::string& name, const std::string& content, mode_t mode = 0755) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    EXPECT_EQ(chmod(path.c_str(), mode), 0) << path;
    return path;
  }

 private:
  std::string directory_;
};

// The head of an ELF program that this machine would run; `loader` empty for a static one.
inline std::string ElfImage(const std::string& loader, void (*change)(Elf64_Ehdr&) = nullptr) {
  Elf64_Ehdr header = {};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
#if defined(__x86_64__)
  header.e_machine = EM_X86_64;
#else
  header.e_machine = EM_AARCH64;
#endif
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 2;
  if (change != nullptr) change(header);
  Elf64_Phdr load = {};
  load.p_type = PT_LOAD;
  Elf64_Phdr last = {};
  last.p_type = loader.empty() ? PT_GNU_STACK : PT_INTERP;
  last.p_offset = sizeof(header) + 2 * sizeof(Elf64_Phdr);
  last.p_filesz = loader.size() + 1;
  std::string image(reinterpret_cast<const char*>(&header), sizeof(header));
  image.append(reinterpret_cast<const char*>(&load), sizeof(load));
  image.append(reinterpret_cast<const char*>(&last), sizeof(last));
  return image + loader + '\0';
}

inline constexpr char kGlibcLoader[] = "/lib64/ld-linux-x86-64.so.2";

}  // namespace hakmem::run

#endif  // HAKMEM_RUN_PROGRAM_FILES_H_
