// An ELF file on disk, read for reports: where its segments go, and the names of its functions.
//
// The file is mapped and every offset in it is checked, so that a damaged file gives no answer instead of a fault.
// Nothing here allocates or takes a lock, unlike dladdr(3): it can be used in a signal handler of a program that is
// broken, knows functions that are not exported, and works in a program without a dynamic loader. (elf(5); 64-bit files
// only.)
#ifndef HAKMEM_DIAG_ELF_FILE_H_
#define HAKMEM_DIAG_ELF_FILE_H_

#include <elf.h>

#include <cstddef>
#include <cstdint>

#include "hakmem/platform/os.h"

namespace hakmem {

class ElfFile {
 public:
  ElfFile() = default;
  ~ElfFile() { Close(); }
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  // False when `path` cannot be mapped or is no ELF file of this machine's width and byte order.
  bool Open(const char* path);
  void Close();

  // The address, as the file counts them, of what stands at `offset` in the file and is loaded. addr2line(1) takes it.
  bool AddressOf(uint64_t offset, uint64_t* address) const;

  // The first segment of a type.
  bool FindSegment(uint32_t type, uint64_t* address, uint64_t* size) const;

  struct Symbol {
    const char* name;  // in the mapping; ends there
    uint64_t start;
  };
  // The function that `address`, as the file counts them, lies in: of the full table when the file has it, otherwise of
  // the exported ones.
  bool FindFunction(uint64_t address, Symbol* symbol) const;

 private:
  // `count` objects at `offset` of the file, nullptr when they do not lie in it.
  template <class T>
  const T* At(uint64_t offset, uint64_t count = 1) const {
    if (offset % alignof(T) != 0 || offset > file_.size || count > (file_.size - offset) / sizeof(T)) return nullptr;
    return reinterpret_cast<const T*>(file_.data + offset);
  }
  const Elf64_Phdr* Segments(size_t* count) const;
  const Elf64_Shdr* FindSection(uint32_t type) const;

  os::FileMapping file_ = {};
  const Elf64_Ehdr* header_ = nullptr;
};

}  // namespace hakmem

#endif  // HAKMEM_DIAG_ELF_FILE_H_
