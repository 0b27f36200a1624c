// The parts that reports are made of: an address, a block's history, a stack, the last events.
#ifndef HAKMEM_DIAG_REPORT_PARTS_H_
#define HAKMEM_DIAG_REPORT_PARTS_H_

#include <cstdint>

#include "hakmem/diag/address_info.h"
#include "hakmem/diag/modules.h"
#include "hakmem/diag/report_text.h"
#include "hakmem/diag/ring.h"
#include "hakmem/diag/unwind.h"

namespace hakmem {

// What the ring still knows of a block.
struct BlockHistory {
  ring::Record allocated = {};  // sequence 0: not known
  ring::Record freed = {};
};
BlockHistory FindHistory(const ReportText& report, uint64_t block);

// What hakmem knows of `p`, and of the block around it, with its history. Lines that begin with `name`.
void WriteAddress(ReportText& report, Modules& modules, const char* name, uint64_t p);

// "function+0x12 (program+0x1234)" as far as it is known. `is_return` tells that the address is where a call returns
// to.
void WriteCode(Format& line, Modules& modules, uint64_t address, bool is_return);

// The stack from `registers` on. Remembers in `*place` the first address of the program's own code, as opposed to that
// of hakmem and the system's libraries.
struct CodePlace {
  const char* path = nullptr;
  uint64_t address = 0;  // as the file counts
};
void WriteStack(ReportText& report, Modules& modules, const Registers& registers, CodePlace* place);

// The last events of all threads, oldest first.
void WriteLastEvents(ReportText& report, Modules& modules);

// The modules of the report in the making: there is one at a time.
Modules& ReportModules();

}  // namespace hakmem

#endif  // HAKMEM_DIAG_REPORT_PARTS_H_
