#include "hakmem/diag/modules.h"

#include <cstring>

#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

// The hexadecimal number at `*text`, which then stands behind it.
uint64_t TakeHex(char** text) {
  uint64_t value = 0;
  for (;; ++*text) {
    const char c = **text;
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return value;
    }
  }
}

char* SkipWord(char* text) {
  while (*text != 0 && *text != ' ') ++text;
  while (*text == ' ') ++text;
  return text;
}

}  // namespace

// "start-end r-xp offset device inode   path", see proc(5).
void Modules::AddLine(char* line) {
  const uint64_t start = TakeHex(&line);
  if (*line != '-') return;
  ++line;
  const uint64_t end = TakeHex(&line);
  if (strnlen(line, 4) < 4 || line[3] != 'x') return;
  line = SkipWord(line + 1);
  const uint64_t offset = TakeHex(&line);
  line = SkipWord(SkipWord(SkipWord(line)));  // behind the offset, the device and the inode
  if (count_ == kMostMappings) return;
  const char* path = "";
  if (const size_t bytes = strlen(line) + 1; bytes > 1 && bytes <= kPathBytes - paths_used_) {
    memcpy(paths_ + paths_used_, line, bytes);
    path = paths_ + paths_used_;
    paths_used_ += bytes;
  }
  mappings_[count_++] = {start, end, offset, path};
}

void Modules::Load() {
  Close();
  count_ = 0;
  paths_used_ = 0;
  const int fd = os::OpenForRead("/proc/self/maps");
  if (fd < 0) return;
  char line[1024];
  size_t length = 0;
  char piece[2048];
  for (intptr_t n; (n = os::Read(fd, piece, sizeof(piece))) > 0;) {
    for (intptr_t i = 0; i < n; ++i) {
      if (piece[i] != '\n') {
        if (length < sizeof(line) - 1) line[length++] = piece[i];
        continue;
      }
      line[length] = 0;
      AddLine(line);
      length = 0;
    }
  }
  os::Close(fd);
}

const ModuleMapping* Modules::Find(uintptr_t address) const {
  for (size_t i = 0; i < count_; ++i) {
    if (address >= mappings_[i].start && address < mappings_[i].end) return &mappings_[i];
  }
  return nullptr;
}

const ElfFile* Modules::FileOf(const ModuleMapping& mapping) {
  if (mapping.path[0] != '/') return nullptr;
  if (open_path_ == nullptr || strcmp(open_path_, mapping.path) != 0) {
    open_path_ = mapping.path;
    opened_ = file_.Open(mapping.path);
  }
  return opened_ ? &file_ : nullptr;
}

void Modules::Close() {
  file_.Close();
  open_path_ = nullptr;
  opened_ = false;
}

}  // namespace hakmem
