// The executable mappings of the process, from /proc/self/maps: which file an address of code belongs to.
//
// For reports: static memory, one report at a time, no allocation and no lock of the dynamic loader's.
#ifndef HAKMEM_DIAG_MODULES_H_
#define HAKMEM_DIAG_MODULES_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/diag/elf_file.h"

namespace hakmem {

struct ModuleMapping {
  uintptr_t start;
  uintptr_t end;
  uint64_t offset;   // in the file
  const char* path;  // "" for code without a file
};

class Modules {
 public:
  // Reads the mappings anew. What does not fit the tables is left out.
  void Load();

  // The mapping that `address` is in, nullptr when it is no code.
  const ModuleMapping* Find(uintptr_t address) const;

  // The file of a mapping, opened; nullptr when that cannot be. It stays open until another is asked for.
  const ElfFile* FileOf(const ModuleMapping& mapping);

  // Closes the file.
  void Close();

 private:
  static constexpr size_t kMostMappings = 192;
  static constexpr size_t kPathBytes = 24 << 10;

  void AddLine(char* line);

  ModuleMapping mappings_[kMostMappings];
  size_t count_ = 0;
  char paths_[kPathBytes];
  size_t paths_used_ = 0;
  const char* open_path_ = nullptr;
  bool opened_ = false;
  ElfFile file_;
};

}  // namespace hakmem

#endif  // HAKMEM_DIAG_MODULES_H_
