#include "hakmem/diag/unwind.h"

#include <cstring>

#include "hakmem/diag/frame_table.h"
#include "hakmem/platform/compiler.h"
#include "hakmem/platform/os.h"

namespace hakmem {

#if defined(__x86_64__)
Registers CaptureRegisters() {
  Registers r;
  // The caller's frame is read off our own: the registers that a call keeps, and the stack as it is after the return.
  __asm__ volatile("mov %%rbx, %0\n\tmov %%r12, %1\n\tmov %%r13, %2\n\tmov %%r14, %3\n\tmov %%r15, %4"
                   : "=m"(r.value[3]), "=m"(r.value[12]), "=m"(r.value[13]), "=m"(r.value[14]), "=m"(r.value[15]));
  // Forces a frame: [rbp] is the caller's, [rbp + 8] where we return to.
  const auto* frame = static_cast<const uint64_t*>(__builtin_frame_address(0));
  r.value[kFrameRegister] = frame[0];
  r.value[kReturnRegister] = frame[1];
  r.value[kStackRegister] = reinterpret_cast<uint64_t>(frame + 2);
  return r;
}
#else
Registers CaptureRegisters() {
  Registers r;
  const auto* frame = static_cast<const uint64_t*>(__builtin_frame_address(0));
  r.value[kFrameRegister] = frame[0];
  r.value[kReturnRegister] = frame[1];
  r.value[kStackRegister] = reinterpret_cast<uint64_t>(frame);
  return r;
}
#endif

namespace {

// By the chain of frame pointers. Only upwards, so that it ends.
bool UnwindByFramePointer(Registers* registers) {
  const uint64_t frame = registers->value[kFrameRegister];
  if (frame <= registers->sp() - 16 || frame % 8 != 0) return false;
  uint64_t words[2];
  if (!os::ReadMemory(frame, words, sizeof(words))) return false;
  if (words[1] < 4096) return false;
  registers->value[kFrameRegister] = words[0];
  registers->value[kReturnRegister] = words[1];
  registers->value[kStackRegister] = frame + 16;
  return true;
}

// A jump to nowhere: the call has just pushed where it came from.
bool UnwindBadCall(Registers* registers) {
#if defined(__x86_64__)
  uint64_t from;
  if (!os::ReadMemory(registers->sp(), &from, sizeof(from))) return false;
  registers->value[kReturnRegister] = from;
  registers->value[kStackRegister] += 8;
  return true;
#else
  // The link register.
  registers->value[kReturnRegister] = registers->value[30];
  return registers->pc() != 0;
#endif
}

}  // namespace

bool UnwindOne(Modules& modules, Registers* registers, bool innermost) {
  const ModuleMapping* mapping = modules.Find(registers->pc());
  if (mapping == nullptr) return innermost && UnwindBadCall(registers);
#if defined(__x86_64__)
  if (const ElfFile* file = modules.FileOf(*mapping); file != nullptr) {
    uint64_t address;
    uint64_t table;
    uint64_t table_size;
    if (file->AddressOf(registers->pc() - mapping->start + mapping->offset, &address) &&
        file->FindSegment(PT_GNU_EH_FRAME, &table, &table_size)) {
      const uint64_t moved = registers->pc() - address;
      // A return address may stand behind the last instruction of a function that ends with the call.
      const uint64_t pc = registers->pc() - (innermost ? 0 : 1);
      switch (UnwindByTable(table + moved, table_size, pc, registers)) {
        case TableResult::kDone: return true;
        case TableResult::kEnd: return false;
        case TableResult::kUnknown: break;
      }
    }
  }
#endif
  return UnwindByFramePointer(registers);
}

size_t Unwind(Modules& modules, Registers registers, uintptr_t* frames, size_t most) {
  size_t count = 0;
  while (count < most) {
    frames[count] = registers.pc();
    const uint64_t sp = registers.sp();
    if (!UnwindOne(modules, &registers, count++ == 0)) break;
    // The stack grows down: a caller's lies above. Without that the tables contradict themselves.
    if (registers.pc() == 0 || registers.sp() < sp) break;
  }
  return count;
}

}  // namespace hakmem
