// Reads a dumped debug ring (hakmem/diag/ring_format.h), and says what is wrong with a file that is none or is damaged.
#ifndef HAKMEM_TESTING_FLIGHT_DUMP_READER_H_
#define HAKMEM_TESTING_FLIGHT_DUMP_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "hakmem/diag/ring_format.h"

namespace hakmem::flight {

// An executable mapping of the process that wrote the dump.
struct Module {
  uint64_t start;
  uint64_t end;
  uint64_t offset;  // in the file
  std::string path;
};

struct DumpFile {
  ring::DumpHeader header = {};
  std::vector<ring::Record> records;  // of all rings, by time
  std::vector<Module> modules;
  uint64_t overwritten = 0;  // events that newer ones took the place of
  uint64_t lost = 0;         // events that had no ring
};

// Fills `dump` from the bytes of a file. Returns what is wrong, empty when nothing is; `dump` then holds what stands
// before the damage.
std::string ReadDump(absl::string_view bytes, DumpFile* dump);

// The same, from a file.
std::string ReadDumpFile(const std::string& path, DumpFile* dump);

}  // namespace hakmem::flight

#endif  // HAKMEM_TESTING_FLIGHT_DUMP_READER_H_
