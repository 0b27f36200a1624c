// One time line over all threads out of a dumped debug ring, and the filters that choose what it shows.
#ifndef HAKMEM_TESTING_FLIGHT_TIME_LINE_H_
#define HAKMEM_TESTING_FLIGHT_TIME_LINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "hakmem/diag/elf_file.h"
#include "testing/flight/dump_reader.h"

namespace hakmem::flight {

// What to show: events that fit all that is set.
struct Filter {
  std::optional<uint32_t> thread;
  std::optional<unsigned> size_class;
  std::optional<uint64_t> slab;  // any address in the slab
  std::optional<uint64_t>
      pointer;  // any address in the block: its own events, and those of the slab or mapping around it
};

bool Fits(const Filter& filter, const ring::Record& record);

// The names of callers, out of the files of the modules.
class Names {
 public:
  explicit Names(const std::vector<Module>& modules) : modules_(modules) {}
  // "function+0x12 (program)", "program+0x1234", or the bare address.
  std::string Of(uint64_t address);

 private:
  const std::vector<Module>& modules_;
  std::unordered_map<std::string, std::unique_ptr<ElfFile>> files_;
};

// One event as a line of text, its time counted from `start_ns`.
std::string LineOf(const ring::Record& record, uint64_t start_ns, Names& names);

// The line that names the columns of LineOf.
std::string HeadLine();

}  // namespace hakmem::flight

#endif  // HAKMEM_TESTING_FLIGHT_TIME_LINE_H_
