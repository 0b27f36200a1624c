#include "hakmem/trace/trace_file.h"

#include <errno.h>

#include <cstddef>
#include <cstring>

#include "hakmem/config/options.h"
#include "hakmem/diag/file_name.h"
#include "hakmem/diag/report_file.h"
#include "hakmem/platform/os.h"
#include "hakmem/trace/tick.h"
#include "hakmem/trace/trace_format.h"

namespace hakmem::trace::file {

constinit std::atomic<uint32_t>* g_active = nullptr;

namespace {

constinit char path[4096] = {};                 // absolute
constinit os::FileStatus identity = {};         // of the file at that name
constinit FileHeader* header = nullptr;         // there while the recording is active
constinit uint32_t parent = 0;                  // that was recorded before this process was forked from it
constinit std::atomic<uint64_t> next_chunk{0};  // number 0 is the header's

const char* ErrorText(int error) {
  switch (error) {
    case EACCES:
    case EPERM: return "permission denied";
    case EBUSY: return "another process records to it (%p in the name is the process, and gives each a file)";
    case EDQUOT: return "the disk quota is used up";
    case EFBIG: return "the limit on the size of files is reached";
    case EINVAL: return "not a regular file";
    case EISDIR: return "it is a directory";
    case ENAMETOOLONG: return "the name is too long";
    case ENOENT: return "no such file or directory";
    case ENOMEM: return "no memory";
    case EMFILE:
    case ENFILE: return "no file descriptor is left";
    case ENOSPC: return "no space left on the disk";
    case ENOTDIR: return "a part of its name is no directory";
    case EROFS: return "the file system cannot be written to";
    case ESTALE: return "it is not the same file any more";
    default: return nullptr;
  }
}

void Report(const char* what, int error) {
  char line[400];
  Format f(line, sizeof(line));
  f << "hakmem: HAKMEM_TRACE=" << Clip{g_options.trace, 200} << ": " << what;
  if (const char* text = ErrorText(error); text != nullptr) {
    f << text;
  } else {
    f << "error " << error;
  }
  ReportLine(line);
}

// 0 or errno.
int SetPath() {
  char name[sizeof(path)];
  FileName(g_options.trace, name, sizeof(name));
  Format f(path, sizeof(path));
  if (name[0] != '/') {
    char directory[sizeof(path)];
    if (!os::WorkingDirectory(directory, sizeof(directory))) return ENOENT;
    f << directory << "/";
  }
  f << name;
  return f.length() + 1 < sizeof(path) ? 0 : ENAMETOOLONG;
}

void WriteStart(FileHeader* to_header) {
  FileStart start = {};
  memcpy(start.magic, kFileMagic, sizeof(start.magic));
  start.byte_order = kByteOrder;
  start.version = kVersion;
  start.chunk_bytes = kChunkBytes;
  start.page_size = static_cast<uint32_t>(os::PageSize());
  start.process = static_cast<uint32_t>(os::ProcessId());
  start.forked_from = parent;
  start.tick = Tick();
  start.time_ns = os::NowNs();
  start.unix_ns = os::UnixNs();
  start.checksum = Checksum(&start, offsetof(FileStart, checksum));
  char* to = reinterpret_cast<char*>(&to_header->start);
  memcpy(to + sizeof(start.magic), reinterpret_cast<char*>(&start) + sizeof(start.magic),
         sizeof(start) - sizeof(start.magic));
  std::atomic_signal_fence(std::memory_order_release);  // a process that is killed here leaves no magic number
  memcpy(to, start.magic, sizeof(start.magic));
}

// 0 or errno.
int SetUp(int fd) {
  if (!os::GetFileStatus(fd, &identity)) return EIO;
  if (!identity.is_regular) return EINVAL;
  // The header's mapping keeps the lock, until it is unmapped or the process ends.
  if (os::LockFile(fd) == EWOULDBLOCK) return EBUSY;
  if (int error = os::EmptyFile(fd); error != 0) return error;
  const size_t size = os::PageSize();
  if (int error = os::ReserveInFile(fd, 0, size); error != 0) return error;
  const os::MapResult mapped = os::MapPiece(fd, 0, size);
  if (mapped.ptr == nullptr) return mapped.error;
  auto* fresh = static_cast<FileHeader*>(mapped.ptr);
  WriteStart(fresh);
  header = fresh;
  return 0;
}

void NoteClock() {
  // Relaxed: numbers for readers of the file; of two threads that write, either pair will do.
  __atomic_store_n(&header->state.tick, Tick(), __ATOMIC_RELAXED);
  __atomic_store_n(&header->state.time_ns, os::NowNs(), __ATOMIC_RELAXED);  // as above
}

// 0 or errno.
int MapChunk(uint64_t number, unsigned char** chunk) {
  const int fd = os::OpenForMapping(path, false);
  if (fd < 0) return -fd;
  os::FileStatus now;
  int error = 0;
  if (!os::GetFileStatus(fd, &now) || now.device != identity.device || now.inode != identity.inode) {
    error = ESTALE;
  } else {
    error = os::ReserveInFile(fd, number * kChunkBytes, kChunkBytes);
  }
  if (error == 0) {
    const os::MapResult mapped = os::MapPiece(fd, number * kChunkBytes, kChunkBytes);
    *chunk = static_cast<unsigned char*>(mapped.ptr);
    error = mapped.error;
  }
  os::Close(fd);
  return error;
}

}  // namespace

bool Open() {
  if (g_active == nullptr) {
    void* page = os::MapWipedOnFork();
    if (page == nullptr) {
      Report("not recorded: ", ENOMEM);
      return false;
    }
    g_active = static_cast<std::atomic<uint32_t>*>(page);
  }
  int error = SetPath();
  if (error == 0) {
    const int fd = os::OpenForMapping(path, true);
    if (fd < 0) {
      error = -fd;
    } else {
      error = SetUp(fd);
      os::Close(fd);
    }
  }
  if (error != 0) {
    Report("not recorded: ", error);
    return false;
  }
  next_chunk.store(1, std::memory_order_relaxed);  // one thread
  g_active->store(1, std::memory_order_relaxed);   // one thread, or the one that sets hakmem up for the others
  return true;
}

void Stop() {
  g_active->store(0, std::memory_order_relaxed);  // a child has one thread
}

void Leave() {
  Stop();
  if (header == nullptr) return;
  parent = header->start.process;
  os::UnmapPiece(header, os::PageSize());
  header = nullptr;
}

unsigned char* AddChunk() {
  NoteClock();
  const uint64_t number = next_chunk.fetch_add(1, std::memory_order_relaxed);  // a number that nobody else gets
  unsigned char* chunk = nullptr;
  if (const int error = MapChunk(number, &chunk); error != 0) {
    End(error);
    return nullptr;
  }
  return chunk;
}

void UnmapChunk(unsigned char* chunk) { os::UnmapPiece(chunk, kChunkBytes); }

void End(int error) {
  if (g_active->exchange(0, std::memory_order_relaxed) == 0) return;  // the flag alone decides who reports
  __atomic_store_n(&header->state.ended_error, static_cast<uint32_t>(error),
                   __ATOMIC_RELAXED);  // for readers of the file
  Report("the recording ends here, the program goes on: ", error);
}

void CountLost() {
  __atomic_fetch_add(&header->state.lost, uint64_t{1}, __ATOMIC_RELAXED);  // a count, orders nothing
}

void NoteExit() {
  if (!Active()) return;
  NoteClock();
  __atomic_store_n(&header->state.exited, 1u, __ATOMIC_RELAXED);  // for readers of the file
}

}  // namespace hakmem::trace::file
