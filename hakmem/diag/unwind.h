// The stack of a thread, from its registers: by the tables of .eh_frame, and by frame pointers where there are none.
//
// Its own, because nothing else can be had: the allocator does not depend on the C++ runtime, backtrace(3) allocates,
// and a thread may have died under the dynamic loader's lock. Every word is read only where it can be read. Sources:
// the System V ABI for AMD64, section 3.7; the Linux Standard Base, "Exception Frames"; DWARF 4, section 6.4.
#ifndef HAKMEM_DIAG_UNWIND_H_
#define HAKMEM_DIAG_UNWIND_H_

#include <cstddef>
#include <cstdint>

#include "hakmem/diag/modules.h"

namespace hakmem {

#if defined(__x86_64__)
inline constexpr unsigned kUnwindRegisters = 17;  // in DWARF's order; 16 is the return address
inline constexpr unsigned kFrameRegister = 6;     // rbp
inline constexpr unsigned kStackRegister = 7;     // rsp
inline constexpr unsigned kReturnRegister = 16;
#else
inline constexpr unsigned kUnwindRegisters = 33;
inline constexpr unsigned kFrameRegister = 29;
inline constexpr unsigned kStackRegister = 31;
inline constexpr unsigned kReturnRegister = 32;  // the place of the program counter
#endif

struct Registers {
  uint64_t value[kUnwindRegisters] = {};
  uint64_t pc() const { return value[kReturnRegister]; }
  uint64_t sp() const { return value[kStackRegister]; }
};

// The registers of the function that calls this one, as they stand now.
__attribute__((noinline)) Registers CaptureRegisters();

// Makes the registers those of the caller of the function that they stand in. False at the end of the stack, or when it
// cannot be followed any further. `innermost` tells that the function was interrupted rather than in a call.
bool UnwindOne(Modules& modules, Registers* registers, bool innermost);

// Fills `frames` with addresses of code, innermost first; their number.
size_t Unwind(Modules& modules, Registers registers, uintptr_t* frames, size_t most);

}  // namespace hakmem

#endif  // HAKMEM_DIAG_UNWIND_H_
