// The tables of .eh_frame that say, for every instruction, where the caller's registers are (x86-64).
#ifndef HAKMEM_DIAG_FRAME_TABLE_H_
#define HAKMEM_DIAG_FRAME_TABLE_H_

#include <cstdint>

#include "hakmem/diag/unwind.h"

namespace hakmem {

enum class TableResult : uint8_t {
  kDone,     // the registers are the caller's now
  kEnd,      // the tables say that there is no caller
  kUnknown,  // nothing is known of this address; the registers are as they were
};

// `table` is where the module's .eh_frame_hdr stands in memory, `pc` an address in the function that the registers are
// of.
TableResult UnwindByTable(uint64_t table, uint64_t table_size, uint64_t pc, Registers* registers);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_FRAME_TABLE_H_
