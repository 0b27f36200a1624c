#include "hakmem/diag/frame_table.h"

#include <cstring>

#include "hakmem/platform/os.h"

namespace hakmem {
namespace {

// Encodings of pointers in the tables (Linux Standard Base, "DWARF Exception Header Encoding").
enum : uint8_t {
  kAbsolute = 0x00,
  kUnsigned2 = 0x02,
  kUnsigned4 = 0x03,
  kUnsigned8 = 0x04,
  kSigned2 = 0x0a,
  kSigned4 = 0x0b,
  kSigned8 = 0x0c,
  kFormMask = 0x0f,
  kRelativeToPlace = 0x10,
  kRelativeToTable = 0x30,
  kBaseMask = 0x70,
  kIndirect = 0x80,
};

// Takes objects off memory of the process that may not be there; `ok` tells whether all of it was.
class Reader {
 public:
  Reader(uint64_t at, uint64_t end) : at_(at), end_(end) {}

  uint64_t at() const { return at_; }
  bool ok() const { return ok_; }
  bool AtEnd() const { return !ok_ || at_ >= end_; }
  void Skip(uint64_t bytes) { at_ += bytes; }

  template <class T>
  T Take() {
    T value = 0;
    if (at_ > end_ || end_ - at_ < sizeof(T) || !os::ReadMemory(at_, &value, sizeof(T))) {
      ok_ = false;
      return 0;
    }
    at_ += sizeof(T);
    return value;
  }
  uint64_t TakeUleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; ok_ && shift < 64; shift += 7) {
      const uint8_t byte = Take<uint8_t>();
      value |= uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }
  int64_t TakeSleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; ok_ && shift < 64;) {
      const uint8_t byte = Take<uint8_t>();
      value |= uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
      return static_cast<int64_t>(value);
    }
    ok_ = false;
    return 0;
  }
  uint64_t TakePointer(uint8_t encoding, uint64_t table) {
    const uint64_t place = at_;
    uint64_t value = 0;
    switch (encoding & kFormMask) {
      case kAbsolute:
      case kUnsigned8:
      case kSigned8: value = Take<uint64_t>(); break;
      case kUnsigned2: value = Take<uint16_t>(); break;
      case kUnsigned4: value = Take<uint32_t>(); break;
      case kSigned2: value = static_cast<uint64_t>(int64_t{Take<int16_t>()}); break;
      case kSigned4: value = static_cast<uint64_t>(int64_t{Take<int32_t>()}); break;
      default: ok_ = false;
    }
    switch (encoding & kBaseMask) {
      case 0: break;
      case kRelativeToPlace: value += place; break;
      case kRelativeToTable: value += table; break;
      default: ok_ = false;
    }
    if ((encoding & kIndirect) != 0 && ok_ && !os::ReadMemory(value, &value, sizeof(value))) ok_ = false;
    return value;
  }

 private:
  uint64_t at_;
  uint64_t end_;
  bool ok_ = true;
};

struct CommonInformation {
  uint64_t code_alignment = 0;
  int64_t data_alignment = 0;
  uint8_t pointer_encoding = kAbsolute;
  bool has_augmentation = false;
  bool is_signal_frame = false;
  uint64_t program = 0;
  uint64_t program_end = 0;
};

// A length that tells where an entry ends, and where its contents begin.
uint64_t TakeEnd(Reader* reader) {
  uint64_t length = reader->Take<uint32_t>();
  if (length == 0xffffffff) length = reader->Take<uint64_t>();
  return reader->at() + length;
}

bool ReadCommon(uint64_t at, CommonInformation* common) {
  Reader reader(at, UINT64_MAX);
  common->program_end = TakeEnd(&reader);
  if (reader.Take<uint32_t>() != 0) return false;  // its id
  const uint8_t version = reader.Take<uint8_t>();
  if (version != 1 && version != 3) return false;
  char augmentation[8] = {};
  for (size_t i = 0;; ++i) {
    const char c = static_cast<char>(reader.Take<uint8_t>());
    if (c == 0) break;
    if (!reader.ok() || i == sizeof(augmentation) - 1) return false;
    augmentation[i] = c;
  }
  common->code_alignment = reader.TakeUleb();
  common->data_alignment = reader.TakeSleb();
  const uint64_t return_register = version == 1 ? reader.Take<uint8_t>() : reader.TakeUleb();
  if (return_register != kReturnRegister) return false;
  if (augmentation[0] != 0) {
    if (augmentation[0] != 'z') return false;
    common->has_augmentation = true;
    const uint64_t length = reader.TakeUleb();
    const uint64_t end = reader.at() + length;
    for (const char* c = augmentation + 1; *c != 0; ++c) {
      switch (*c) {
        case 'R': common->pointer_encoding = reader.Take<uint8_t>(); break;
        case 'L': reader.Take<uint8_t>(); break;
        case 'P': {
          const uint8_t encoding = reader.Take<uint8_t>();
          reader.TakePointer(static_cast<uint8_t>(encoding & ~kIndirect), 0);
          break;
        }
        case 'S': common->is_signal_frame = true; break;
        default: return false;
      }
    }
    reader.Skip(end - reader.at());
  }
  common->program = reader.at();
  return reader.ok();
}

struct Rule {
  enum class Kind : uint8_t { kSame, kUndefined, kOffset, kValueOffset, kRegister, kExpression, kValueExpression };
  Kind kind = Kind::kSame;
  int64_t value = 0;  // offset, register, or where the expression stands
};

struct Row {
  Rule rules[kUnwindRegisters];
  bool cfa_is_expression = false;
  uint64_t cfa_register = kStackRegister;
  int64_t cfa_offset = 0;
  uint64_t cfa_expression = 0;
};

// Runs the instructions up to the row of `pc` (DWARF 4, 6.4.2). False for what is not understood.
class RowMachine {
 public:
  RowMachine(const CommonInformation& common, uint64_t table, uint64_t pc) : common_(common), table_(table), pc_(pc) {}

  Row row;

  bool Run(uint64_t program, uint64_t end, uint64_t location) {
    Reader reader(program, end);
    location_ = location;
    while (!reader.AtEnd() && location_ <= pc_) {
      if (!Step(&reader)) return false;
    }
    return reader.ok();
  }
  void RememberInitial() { initial_ = row; }

 private:
  bool Set(uint64_t reg, Rule::Kind kind, int64_t value) {
    if (reg < kUnwindRegisters) row.rules[reg] = {kind, value};
    return true;
  }
  void SkipBlock(Reader* reader) { reader->Skip(reader->TakeUleb()); }

  bool Step(Reader* reader) {
    const uint8_t op = reader->Take<uint8_t>();
    const uint64_t low = op & 0x3f;
    switch (op >> 6) {
      case 1: location_ += low * common_.code_alignment; return true;
      case 2: return Set(low, Rule::Kind::kOffset, static_cast<int64_t>(reader->TakeUleb()) * common_.data_alignment);
      case 3:
        if (low < kUnwindRegisters) row.rules[low] = initial_.rules[low];
        return true;
      default: return StepExtended(op, reader);
    }
  }

  bool StepExtended(uint8_t op, Reader* reader) {
    switch (op) {
      case 0x00: return true;                                                                     // nop
      case 0x01: location_ = reader->TakePointer(common_.pointer_encoding, table_); return true;  // set_loc
      case 0x02: location_ += reader->Take<uint8_t>() * common_.code_alignment; return true;
      case 0x03: location_ += reader->Take<uint16_t>() * common_.code_alignment; return true;
      case 0x04: location_ += reader->Take<uint32_t>() * common_.code_alignment; return true;
      case 0x05: {  // offset_extended
        const uint64_t reg = reader->TakeUleb();
        return Set(reg, Rule::Kind::kOffset, static_cast<int64_t>(reader->TakeUleb()) * common_.data_alignment);
      }
      case 0x06: {  // restore_extended
        const uint64_t reg = reader->TakeUleb();
        if (reg < kUnwindRegisters) row.rules[reg] = initial_.rules[reg];
        return true;
      }
      case 0x07: return Set(reader->TakeUleb(), Rule::Kind::kUndefined, 0);
      case 0x08: return Set(reader->TakeUleb(), Rule::Kind::kSame, 0);
      case 0x09: {  // register
        const uint64_t reg = reader->TakeUleb();
        return Set(reg, Rule::Kind::kRegister, static_cast<int64_t>(reader->TakeUleb()));
      }
      case 0x0a:  // remember_state
        if (depth_ == kDepth) return false;
        stack_[depth_++] = row;
        return true;
      case 0x0b:  // restore_state
        if (depth_ == 0) return false;
        row = stack_[--depth_];
        return true;
      case 0x0c:  // def_cfa
        row.cfa_is_expression = false;
        row.cfa_register = reader->TakeUleb();
        row.cfa_offset = static_cast<int64_t>(reader->TakeUleb());
        return true;
      case 0x0d:
        row.cfa_is_expression = false;
        row.cfa_register = reader->TakeUleb();
        return true;
      case 0x0e: row.cfa_offset = static_cast<int64_t>(reader->TakeUleb()); return true;
      case 0x0f:  // def_cfa_expression
        row.cfa_is_expression = true;
        row.cfa_expression = reader->at();
        SkipBlock(reader);
        return true;
      case 0x10:    // expression
      case 0x16: {  // val_expression
        const uint64_t reg = reader->TakeUleb();
        const auto at = static_cast<int64_t>(reader->at());
        SkipBlock(reader);
        return Set(reg, op == 0x10 ? Rule::Kind::kExpression : Rule::Kind::kValueExpression, at);
      }
      case 0x11: {  // offset_extended_sf
        const uint64_t reg = reader->TakeUleb();
        return Set(reg, Rule::Kind::kOffset, reader->TakeSleb() * common_.data_alignment);
      }
      case 0x12:  // def_cfa_sf
        row.cfa_is_expression = false;
        row.cfa_register = reader->TakeUleb();
        row.cfa_offset = reader->TakeSleb() * common_.data_alignment;
        return true;
      case 0x13: row.cfa_offset = reader->TakeSleb() * common_.data_alignment; return true;
      case 0x14:
      case 0x15: {  // val_offset, val_offset_sf
        const uint64_t reg = reader->TakeUleb();
        const int64_t n = op == 0x14 ? static_cast<int64_t>(reader->TakeUleb()) : reader->TakeSleb();
        return Set(reg, Rule::Kind::kValueOffset, n * common_.data_alignment);
      }
      case 0x2e: reader->TakeUleb(); return true;  // GNU_args_size
      default: return false;
    }
  }

  static constexpr size_t kDepth = 4;

  const CommonInformation& common_;
  const uint64_t table_;
  const uint64_t pc_;
  uint64_t location_ = 0;
  Row initial_;
  Row stack_[kDepth];
  size_t depth_ = 0;
};

// The value of an expression (DWARF 4, 2.5): the operations that linkers and the C library use in frame tables.
bool Evaluate(uint64_t block, const Registers& registers, const uint64_t* cfa, uint64_t* result) {
  Reader head(block, UINT64_MAX);
  const uint64_t length = head.TakeUleb();
  Reader reader(head.at(), head.at() + length);
  constexpr size_t kDepth = 16;
  uint64_t stack[kDepth];
  size_t depth = 0;
  if (cfa != nullptr) stack[depth++] = *cfa;
  while (!reader.AtEnd()) {
    const uint8_t op = reader.Take<uint8_t>();
    uint64_t value;
    if (op >= 0x30 && op <= 0x4f) {  // lit0 to lit31
      value = op - 0x30u;
    } else if (op >= 0x70 && op <= 0x8f) {  // breg0 to breg31
      const unsigned reg = op - 0x70u;
      const int64_t offset = reader.TakeSleb();
      if (reg >= kUnwindRegisters) return false;
      value = registers.value[reg] + static_cast<uint64_t>(offset);
    } else if (op == 0x08) {
      value = reader.Take<uint8_t>();
    } else if (op == 0x09) {
      value = static_cast<uint64_t>(int64_t{reader.Take<int8_t>()});
    } else if (op == 0x0a) {
      value = reader.Take<uint16_t>();
    } else if (op == 0x10) {
      value = reader.TakeUleb();
    } else if (op == 0x11) {
      value = static_cast<uint64_t>(reader.TakeSleb());
    } else if (op == 0x06 || op == 0x23) {  // deref, plus_uconst
      if (depth == 0) return false;
      value = stack[--depth];
      if (op == 0x23) {
        value += reader.TakeUleb();
      } else if (!os::ReadMemory(value, &value, sizeof(value))) {
        return false;
      }
    } else {
      if (depth < 2) return false;
      const uint64_t b = stack[--depth];
      const uint64_t a = stack[--depth];
      switch (op) {
        case 0x1a: value = a & b; break;
        case 0x1c: value = a - b; break;
        case 0x1e: value = a * b; break;
        case 0x21: value = a | b; break;
        case 0x22: value = a + b; break;
        case 0x24: value = b < 64 ? a << b : 0; break;
        case 0x2a: value = static_cast<int64_t>(a) >= static_cast<int64_t>(b) ? 1 : 0; break;
        default: return false;
      }
    }
    if (depth == kDepth) return false;
    stack[depth++] = value;
  }
  if (!reader.ok() || depth == 0) return false;
  *result = stack[depth - 1];
  return true;
}

TableResult Apply(const Row& row, Registers* registers) {
  uint64_t cfa;
  if (row.cfa_is_expression) {
    if (!Evaluate(row.cfa_expression, *registers, nullptr, &cfa)) return TableResult::kUnknown;
  } else {
    if (row.cfa_register >= kUnwindRegisters) return TableResult::kUnknown;
    cfa = registers->value[row.cfa_register] + static_cast<uint64_t>(row.cfa_offset);
  }
  Registers next = *registers;
  for (unsigned i = 0; i < kUnwindRegisters; ++i) {
    const Rule& rule = row.rules[i];
    const uint64_t at = cfa + static_cast<uint64_t>(rule.value);
    switch (rule.kind) {
      case Rule::Kind::kSame: break;
      case Rule::Kind::kUndefined:
        if (i == kReturnRegister) return TableResult::kEnd;
        break;
      case Rule::Kind::kOffset:
        if (!os::ReadMemory(at, &next.value[i], sizeof(uint64_t))) return TableResult::kUnknown;
        break;
      case Rule::Kind::kValueOffset: next.value[i] = at; break;
      case Rule::Kind::kRegister:
        if (static_cast<uint64_t>(rule.value) >= kUnwindRegisters) return TableResult::kUnknown;
        next.value[i] = registers->value[rule.value];
        break;
      case Rule::Kind::kExpression:
      case Rule::Kind::kValueExpression: {
        uint64_t value;
        if (!Evaluate(static_cast<uint64_t>(rule.value), *registers, &cfa, &value)) return TableResult::kUnknown;
        if (rule.kind == Rule::Kind::kExpression && !os::ReadMemory(value, &value, sizeof(value))) {
          return TableResult::kUnknown;
        }
        next.value[i] = value;
        break;
      }
    }
  }
  // The stack register is the frame's address unless a rule says otherwise, as those of signal frames do.
  if (row.rules[kStackRegister].kind == Rule::Kind::kSame) next.value[kStackRegister] = cfa;
  *registers = next;
  return TableResult::kDone;
}

// The entry of the sorted table for the function that `pc` may be in; 0 when there is none.
uint64_t FindEntry(uint64_t table, uint64_t table_size, uint64_t pc) {
  Reader reader(table, table + table_size);
  if (reader.Take<uint8_t>() != 1) return 0;
  const uint8_t frame_encoding = reader.Take<uint8_t>();
  const uint8_t count_encoding = reader.Take<uint8_t>();
  const uint8_t table_encoding = reader.Take<uint8_t>();
  reader.TakePointer(frame_encoding, table);
  const uint64_t count = reader.TakePointer(count_encoding, table);
  // What all linkers write: pairs of 32-bit distances from the table, sorted.
  if (!reader.ok() || table_encoding != (kRelativeToTable | kSigned4) || count > table_size / 8) return 0;
  const uint64_t first = reader.at();
  uint64_t low = 0;
  uint64_t high = count;
  int32_t pair[2];
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (!os::ReadMemory(first + middle * 8, pair, sizeof(pair))) return 0;
    if (table + static_cast<uint64_t>(int64_t{pair[0]}) <= pc) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0 || !os::ReadMemory(first + (low - 1) * 8, pair, sizeof(pair))) return 0;
  return table + static_cast<uint64_t>(int64_t{pair[1]});
}

}  // namespace

TableResult UnwindByTable(uint64_t table, uint64_t table_size, uint64_t pc, Registers* registers) {
  const uint64_t entry = FindEntry(table, table_size, pc);
  if (entry == 0) return TableResult::kUnknown;
  Reader reader(entry, UINT64_MAX);
  const uint64_t end = TakeEnd(&reader);
  const uint64_t common_at = reader.at();
  const uint32_t distance = reader.Take<uint32_t>();
  CommonInformation common;
  if (!reader.ok() || distance == 0 || !ReadCommon(common_at - distance, &common)) return TableResult::kUnknown;
  const uint64_t start = reader.TakePointer(common.pointer_encoding, table);
  const uint64_t length = reader.TakePointer(common.pointer_encoding & kFormMask, 0);
  if (!reader.ok() || pc - start >= length) return TableResult::kUnknown;
  if (common.has_augmentation) reader.Skip(reader.TakeUleb());
  RowMachine machine(common, table, pc);
  if (!machine.Run(common.program, common.program_end, 0)) return TableResult::kUnknown;
  machine.RememberInitial();
  if (!machine.Run(reader.at(), end, start)) return TableResult::kUnknown;
  return Apply(machine.row, registers);
}

}  // namespace hakmem
