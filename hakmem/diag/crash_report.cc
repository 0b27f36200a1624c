#include "hakmem/diag/crash_report.h"

#include <initializer_list>

#include "hakmem/diag/next_steps.h"
#include "hakmem/diag/report_parts.h"
#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

// The handler stands for these three.
const char* NameOf(int signal) {
  if (signal == SIGSEGV) return "SIGSEGV";
  return signal == SIGBUS ? "SIGBUS" : "SIGABRT";
}

#if defined(__x86_64__)
// DWARF's order of the registers, see the System V ABI for AMD64, figure 3.36.
constexpr int kGregs[kUnwindRegisters] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                          REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                          REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
constexpr const char* kNames[kUnwindRegisters] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
                                                  "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

Registers RegistersOf(const ucontext_t& context) {
  Registers r;
  for (unsigned i = 0; i < kUnwindRegisters; ++i)
    r.value[i] = static_cast<uint64_t>(context.uc_mcontext.gregs[kGregs[i]]);
  return r;
}
const char* RegisterName(unsigned i) { return kNames[i]; }

// What the program did, from the processor's error code of a page fault (trap 14).
const char* DeedOf(const ucontext_t& context) {
  if (context.uc_mcontext.gregs[REG_TRAPNO] != 14) return "used";
  const auto code = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_ERR]);
  if ((code & 16) != 0) return "jumped to";
  return (code & 2) != 0 ? "wrote to" : "read from";
}
#else
Registers RegistersOf(const ucontext_t& context) {
  Registers r;
  for (unsigned i = 0; i < 31; ++i) r.value[i] = context.uc_mcontext.regs[i];
  r.value[kStackRegister] = context.uc_mcontext.sp;
  r.value[kReturnRegister] = context.uc_mcontext.pc;
  return r;
}
const char* RegisterName(unsigned i) {
  static constexpr const char* kNames[] = {"x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",  "x10",
                                           "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",
                                           "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",  "pc"};
  return kNames[i];
}
const char* DeedOf(const ucontext_t&) { return "used"; }
#endif

// Whether the kernel knows the address of the fault; it does not when the address could not be one.
bool HasAddress(const siginfo_t& info) {
  if (info.si_signo == SIGABRT || info.si_code <= 0) return false;
#if defined(SI_KERNEL)
  if (info.si_code == SI_KERNEL) return false;
#endif
  return true;
}

bool IsStackOverflow(const siginfo_t& info, const Registers& registers) {
  const uint64_t address = reinterpret_cast<uintptr_t>(info.si_addr);
  // Next to the stack pointer, and the memory there is not: the guard page.
  return info.si_signo == SIGSEGV && address + 65536 > registers.sp() && address < registers.sp() + 65536;
}

void WriteDeed(ReportText& report, const siginfo_t& info, const ucontext_t& context, const Registers& registers) {
  Format& line = report.Line();
  line << NameOf(info.si_signo);
  if (HasAddress(info)) {
    line << ": the program " << DeedOf(context) << " address " << AsHex(info.si_addr);
    if (info.si_signo == SIGBUS) {
      line << ", which no memory stands behind (a file that was cut?)";
    } else {
      line << (info.si_code == SEGV_ACCERR ? ", which it may not" : ", where no memory is");
    }
    if (IsStackOverflow(info, registers)) report.Line() << "  The stack is used up: the address is next to its end.";
    return;
  }
  if (info.si_signo == SIGABRT) {
    line << ": the program called abort";
    if (info.si_code == SI_USER) line << ", or process " << info.si_pid << " sent the signal";
  } else if (info.si_code <= 0) {
    line << ": sent by process " << info.si_pid;
  } else {
    line << ": the program used an address that cannot be one: data was taken for a pointer";
  }
}

// Blocks that registers point to or into: the pointer that went wrong is often one of them. A block is told once, by
// the register that holds its address if one does. The first that is free, 0 for none.
uint64_t WriteRegisters(ReportText& report, Modules& modules, const Registers& registers, uint64_t address) {
  uint64_t seen[kUnwindRegisters];
  size_t count = 0;
  uint64_t suspect = 0;
  for (const bool starts : {true, false}) {
    for (unsigned i = 0; i < kUnwindRegisters && !report.Late(); ++i) {
      const uint64_t value = registers.value[i];
      const AddressInfo info = Describe(reinterpret_cast<const void*>(value));
      if (info.block == 0 || value == address || (info.block == value) != starts) continue;
      bool again = false;
      for (size_t s = 0; s < count; ++s) again = again || seen[s] == info.block;
      if (again) continue;
      seen[count++] = info.block;
      if (suspect == 0 && info.state == AddressInfo::State::kFree) suspect = value;
      WriteAddress(report, modules, RegisterName(i), value);
    }
  }
  return suspect;
}

}  // namespace

void WriteCrash(ReportText& report, const siginfo_t& info, const ucontext_t& context) {
  const Registers registers = RegistersOf(context);
  WriteDeed(report, info, context, registers);
  Modules& modules = ReportModules();
  modules.Load();
  const uint64_t address = HasAddress(info) ? reinterpret_cast<uintptr_t>(info.si_addr) : 0;
  if (HasAddress(info)) WriteAddress(report, modules, "address", address);
  CodePlace place;
  WriteStack(report, modules, registers, &place);
  const uint64_t suspect = info.si_signo == SIGABRT ? 0 : WriteRegisters(report, modules, registers, address);
  WriteLastEvents(report, modules);
  WriteWhereToLook(report, address != 0 && Describe(info.si_addr).block != 0 ? address : suspect, place);
  modules.Close();
}

}  // namespace hakmem
