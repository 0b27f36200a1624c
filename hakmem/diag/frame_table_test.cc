// Tables written by hand: each instruction, each form of a number, and what no table may say.
#include "hakmem/diag/frame_table.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#if defined(__x86_64__)
namespace hakmem {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr unsigned kRbx = 3;
constexpr unsigned kR12 = 12;
constexpr uint64_t kFunctionBytes = 64;

// A module of one function: the table of its functions, what its entries have in common, its entry, its code.
struct Module {
  // The table.
  uint8_t table_version = 1;
  uint8_t frame_encoding = 0x1b;  // signed 32 bits, from where it stands
  uint8_t count_encoding = 0x03;  // unsigned 32 bits
  uint8_t table_encoding = 0x3b;  // signed 32 bits, from the table
  uint32_t count = 1;
  // What is common.
  uint32_t common_id = 0;
  uint8_t version = 1;
  std::string augmentation = "zR";
  Bytes augmentation_data = {0x1b};
  uint8_t return_register = kReturnRegister;
  Bytes initial = {0x0c, kStackRegister, 8, 0x80 | kReturnRegister, 1};  // frame: stack + 8; return address below it
  // The entry.
  uint8_t encoding = 0x1b;
  bool wide_length = false;
  bool has_distance = true;
  Bytes program;
};

// Where the module is laid out, and a stack whose words tell their place.
alignas(8) uint8_t memory[2048];
constexpr size_t kCode = 1024;
uint64_t stack[32];
uint64_t indirect;  // an address of a pointer

uint64_t AddressOf(const void* p) { return reinterpret_cast<uintptr_t>(p); }
uint64_t Code() { return AddressOf(memory + kCode); }
uint64_t Word(int i) { return AddressOf(stack + 8 + i); }  // from the stack pointer

class Layout {
 public:
  explicit Layout(const Module& m) {
    memset(memory, 0, sizeof(memory));
    for (const uint8_t byte : {m.table_version, m.frame_encoding, m.count_encoding, m.table_encoding}) Put(byte);
    Put<uint32_t>(0);
    Put(m.count);
    Put(static_cast<int32_t>(kCode));
    const size_t entry_in_table = at_;
    Put<int32_t>(0);
    table_size_ = at_;
    const size_t common = at_;
    const size_t common_length = Length(false);
    Put(m.common_id);
    Put(m.version);
    PutAll(Bytes(m.augmentation.begin(), m.augmentation.end()));
    Put<uint8_t>(0);
    PutAll({1, 0x78, m.return_register});  // code by 1, data by -8
    if (m.augmentation[0] == 'z') {
      Put(static_cast<uint8_t>(m.augmentation_data.size()));
      PutAll(m.augmentation_data);
    }
    PutAll(m.initial);
    SetLength(common_length, false);
    const auto entry = static_cast<int32_t>(at_);
    memcpy(memory + entry_in_table, &entry, sizeof(entry));
    const size_t entry_length = Length(m.wide_length);
    Put(m.has_distance ? static_cast<uint32_t>(at_ - common) : 0);
    PutPointer(m.encoding, Code());
    PutPointer(m.encoding & 0x0f, kFunctionBytes);
    if (m.augmentation[0] == 'z') Put<uint8_t>(0);
    PutAll(m.program);
    SetLength(entry_length, m.wide_length);
    EXPECT_LT(at_, kCode);
  }

  size_t end() const { return at_; }
  TableResult Unwind(uint64_t pc_in_function, Registers* registers) const {
    return UnwindByTable(AddressOf(memory), table_size_, Code() + pc_in_function, registers);
  }

 private:
  template <class T>
  void Put(T value) {
    memcpy(memory + at_, &value, sizeof(value));
    at_ += sizeof(value);
  }
  void PutAll(const Bytes& bytes) {
    for (const uint8_t byte : bytes) Put(byte);
  }
  void PutPointer(uint8_t encoding, uint64_t value) {
    if ((encoding & 0x80) != 0) {
      indirect = value;
      value = AddressOf(&indirect);
    }
    if ((encoding & 0x70) == 0x10) value -= AddressOf(memory + at_);
    if ((encoding & 0x70) == 0x30) value -= AddressOf(memory);
    switch (encoding & 0x0f) {
      case 0x02:
      case 0x0a: Put(static_cast<uint16_t>(value)); break;
      case 0x03:
      case 0x0b: Put(static_cast<uint32_t>(value)); break;
      default: Put(value);
    }
  }
  size_t Length(bool wide) {
    const size_t place = at_;
    Put<uint32_t>(wide ? 0xffffffff : 0);
    if (wide) Put<uint64_t>(0);
    return place;
  }
  void SetLength(size_t place, bool wide) {
    const size_t from = place + (wide ? 12 : 4);
    const uint64_t length = at_ - from;
    memcpy(memory + from - (wide ? 8 : 4), &length, wide ? 8 : 4);
  }

  size_t at_ = 0;
  size_t table_size_ = 0;
};

Registers Start() {
  for (uint64_t i = 0; i < 32; ++i) stack[i] = 1000 + i;
  Registers r;
  for (unsigned i = 0; i < kUnwindRegisters; ++i) r.value[i] = 100 + i;
  r.value[kStackRegister] = Word(0);
  r.value[kFrameRegister] = Word(4);
  return r;
}

Registers Caller(const Module& module, uint64_t pc_in_function = 0) {
  const Layout layout(module);
  Registers r = Start();
  EXPECT_EQ(layout.Unwind(pc_in_function, &r), TableResult::kDone);
  return r;
}

TableResult Result(const Module& module, uint64_t pc_in_function = 0) {
  const Layout layout(module);
  Registers r = Start();
  const TableResult result = layout.Unwind(pc_in_function, &r);
  if (result != TableResult::kDone) {
    const Registers before = Start();
    EXPECT_EQ(memcmp(&r, &before, sizeof(r)), 0) << "registers changed without a caller";
  }
  return result;
}

Module WithProgram(Bytes program) {
  Module m;
  m.program = std::move(program);
  return m;
}

TEST(FrameTableTest, TheFrameAndTheReturnAddress) {
  const Registers r = Caller({});
  EXPECT_EQ(r.pc(), 1008u);
  EXPECT_EQ(r.sp(), Word(1));
  EXPECT_EQ(r.value[kRbx], 103u);
  EXPECT_EQ(Result({}, kFunctionBytes - 1), TableResult::kDone);
  EXPECT_EQ(Result({}, kFunctionBytes), TableResult::kUnknown);   // behind the function
  EXPECT_EQ(Result({}, uint64_t{0} - 1), TableResult::kUnknown);  // in front of the first one
}

TEST(FrameTableTest, EachWayToMoveOn) {
  Bytes set_location = {0x01, 0, 0, 0, 0, 0x0e, 16};
  {
    // The operand tells its distance to the code, so its place has to be known: it is the last of the layout.
    const Layout layout(WithProgram(set_location));
    const auto distance = static_cast<int32_t>(kCode + 5 - (layout.end() - 6));
    memcpy(set_location.data() + 1, &distance, sizeof(distance));
  }
  for (const Bytes& program : {Bytes{0x40 | 5, 0x0e, 16}, Bytes{0x02, 5, 0x0e, 16}, Bytes{0x03, 5, 0, 0x0e, 16},
                               Bytes{0x04, 5, 0, 0, 0, 0x0e, 16}, set_location}) {
    SCOPED_TRACE(static_cast<int>(program[0]));
    EXPECT_EQ(Caller(WithProgram(program), 4).sp(), Word(1));
    EXPECT_EQ(Caller(WithProgram(program), 5).sp(), Word(2));
    EXPECT_EQ(Caller(WithProgram(program), 5).pc(), 1009u);
  }
}

TEST(FrameTableTest, EachRuleOfARegister) {
  const struct {
    Bytes program;
    uint64_t rbx;
  } kCases[] = {
      {{0x80 | kRbx, 2}, 1007},                                 // offset
      {{0x05, kRbx, 2}, 1007},                                  // offset_extended
      {{0x11, kRbx, 0x7e}, 1011},                               // offset_extended_sf, -2
      {{0x14, kRbx, 2}, Word(-1)},                              // val_offset
      {{0x15, kRbx, 0x7e}, Word(3)},                            // val_offset_sf, -2
      {{0x09, kRbx, kR12}, 112},                                // register
      {{0x80 | kRbx, 2, 0x08, kRbx}, 103},                      // same_value
      {{0x80 | kRbx, 2, 0x07, kRbx}, 103},                      // undefined: whatever it is
      {{0x80 | kRbx, 2, 0xc0 | kRbx}, 103},                     // restore
      {{0x80 | kRbx, 2, 0x06, kRbx}, 103},                      // restore_extended
      {{0x0a, 0x80 | kRbx, 2, 0x0b}, 103},                      // remember_state, restore_state
      {{0x10, kRbx, 2, 0x38, 0x22}, 1010},                      // expression: the frame + 8
      {{0x16, kRbx, 2, 0x38, 0x22}, Word(2)},                   // val_expression
      {{0x00, 0x2e, 5}, 103},                                   // nop, GNU_args_size
      {{0x05, 40, 2, 0x06, 40, 0x80 | 40, 2, 0xc0 | 40}, 103},  // registers that are not followed
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(::testing::PrintToString(c.program));
    const Registers r = Caller(WithProgram(c.program));
    EXPECT_EQ(r.value[kRbx], c.rbx);
    EXPECT_EQ(r.pc(), 1008u);
    EXPECT_EQ(r.sp(), Word(1));
  }
  EXPECT_EQ(Result(WithProgram({0x07, kReturnRegister})), TableResult::kEnd);
  // A rule for the stack pointer itself, as frames of signal handlers have.
  EXPECT_EQ(Caller(WithProgram({0x80 | kStackRegister, 2})).sp(), 1007u);
}

TEST(FrameTableTest, EachRuleOfTheFrame) {
  const struct {
    Bytes program;
    uint64_t frame;
  } kCases[] = {
      {{0x0c, kFrameRegister, 16}, Word(6)},                     // def_cfa
      {{0x0d, kFrameRegister}, Word(5)},                         // def_cfa_register
      {{0x0e, 24}, Word(3)},                                     // def_cfa_offset
      {{0x12, kFrameRegister, 0x7e}, Word(6)},                   // def_cfa_sf, -2
      {{0x13, 0x7e}, Word(2)},                                   // def_cfa_offset_sf, -2
      {{0x0f, 2, 0x70 | kStackRegister, 16}, Word(2)},           // def_cfa_expression
      {{0x0f, 2, 0x70 | kStackRegister, 16, 0x0d, 6}, Word(5)},  // and back to a register
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(::testing::PrintToString(c.program));
    EXPECT_EQ(Caller(WithProgram(c.program)).sp(), c.frame);
  }
}

// The value of an expression that starts with the frame's address on its stack.
Module ValueExpression(const Bytes& expression) {
  Module m;
  m.program = {0x16, kRbx, static_cast<uint8_t>(expression.size())};
  m.program.insert(m.program.end(), expression.begin(), expression.end());
  return m;
}

TEST(FrameTableTest, EachOperationOfExpressions) {
  const struct {
    Bytes expression;
    uint64_t value;
  } kCases[] = {
      {{}, Word(1)},                             // nothing is done to the frame's address
      {{0x30}, 0},                               // lit0
      {{0x4f}, 31},                              // lit31
      {{0x70 | kRbx, 0x7f}, 102},                // breg3 - 1
      {{0x08, 200}, 200},                        // const1u
      {{0x09, 200}, ~uint64_t{0} - 55},          // const1s
      {{0x0a, 0x34, 0x12}, 0x1234},              // const2u
      {{0x10, 0x80, 0x01}, 128},                 // constu
      {{0x11, 0x80, 0x7f}, ~uint64_t{0} - 127},  // consts
      {{0x06}, 1009},                            // deref
      {{0x23, 7}, Word(1) + 7},                  // plus_uconst
      {{0x3c, 0x3a, 0x1a}, 12 & 10},             // and
      {{0x3c, 0x3a, 0x1c}, 2},                   // minus
      {{0x3c, 0x3a, 0x1e}, 120},                 // mul
      {{0x3c, 0x3a, 0x21}, 12 | 10},             // or
      {{0x3c, 0x3a, 0x22}, 22},                  // plus
      {{0x3c, 0x32, 0x24}, 48},                  // shl
      {{0x3c, 0x08, 64, 0x24}, 0},               // shl by all there is
      {{0x3c, 0x3c, 0x2a}, 1},                   // ge
      {{0x09, 0xff, 0x30, 0x2a}, 0},             // ge, signed
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(::testing::PrintToString(c.expression));
    EXPECT_EQ(Caller(ValueExpression(c.expression)).value[kRbx], c.value);
  }
}

TEST(FrameTableTest, ExpressionsThatHaveNoValue) {
  for (const Bytes& expression :
       {Bytes{0xff}, Bytes{0x22}, Bytes{0x30, 0x31, 0x2f}, Bytes{0x70 | 15, 0, 0x70 + 20, 0}, Bytes{0x30, 0x06},
        Bytes{0x0a, 1}, Bytes{0x10, 0x80}, Bytes{0x11, 0x80}, Bytes(17, 0x30)}) {
    SCOPED_TRACE(::testing::PrintToString(expression));
    EXPECT_EQ(Result(ValueExpression(expression)), TableResult::kUnknown);
  }
  EXPECT_EQ(Result(WithProgram({0x0f, 0})), TableResult::kUnknown);              // no value at all
  EXPECT_EQ(Result(WithProgram({0x0f, 1, 0x06})), TableResult::kUnknown);        // what of?
  EXPECT_EQ(Result(WithProgram({0x10, kRbx, 1, 0x30})), TableResult::kUnknown);  // stands at address 0
  EXPECT_EQ(Result(WithProgram({0x10, kRbx, 1, 0x22})), TableResult::kUnknown);  // what to?
}

TEST(FrameTableTest, EachFormOfPointers) {
  // Absolute; by 2, 4 and 8 bytes, signed or not, from their place or the table; by way of a pointer.
  for (const uint8_t encoding : {0x00, 0x04, 0x0c, 0x1a, 0x12, 0x1b, 0x13, 0x1c, 0x3b, 0x32, 0x33, 0x80, 0x90}) {
    SCOPED_TRACE(static_cast<int>(encoding));
    Module m;
    m.encoding = encoding;
    m.augmentation_data = {encoding};
    EXPECT_EQ(Result(m), TableResult::kDone);
    EXPECT_EQ(Result(m, kFunctionBytes), TableResult::kUnknown);
  }
  for (const uint8_t encoding : {0x05, 0x1f, 0x50}) {  // no such form; from a place that is not known
    Module m;
    m.augmentation_data = {encoding};
    EXPECT_EQ(Result(m), TableResult::kUnknown);
  }
}

TEST(FrameTableTest, WhatEntriesHaveInCommon) {
  Module plain;  // addresses are absolute then
  plain.augmentation = "";
  plain.encoding = 0;
  EXPECT_EQ(Result(plain), TableResult::kDone);
  Module later;
  later.version = 3;
  EXPECT_EQ(Result(later), TableResult::kDone);
  Module all;
  all.augmentation = "zPLRS";
  all.augmentation_data = {0x9b, 1, 2, 3, 4, 0x1b, 0x1b};  // a personality by way of a pointer that is not followed
  EXPECT_EQ(Result(all), TableResult::kDone);
  Module more;  // data behind what the letters say
  more.augmentation_data = {0x1b, 9, 9};
  EXPECT_EQ(Result(more), TableResult::kDone);
  Module wide;
  wide.wide_length = true;
  EXPECT_EQ(Result(wide), TableResult::kDone);
}

TEST(FrameTableTest, WhatIsNotUnderstoodIsUnknown) {
  const auto unknown = [](auto change) {
    Module m;
    change(m);
    return Result(m) == TableResult::kUnknown;
  };
  EXPECT_TRUE(unknown([](Module& m) { m.table_version = 2; }));
  EXPECT_TRUE(unknown([](Module& m) { m.table_encoding = 0x1b; }));
  EXPECT_TRUE(unknown([](Module& m) { m.count_encoding = 0xff; }));
  EXPECT_TRUE(unknown([](Module& m) { m.count = 1000; }));
  EXPECT_TRUE(unknown([](Module& m) { m.count = 0; }));
  EXPECT_TRUE(unknown([](Module& m) { m.common_id = 1; }));
  EXPECT_TRUE(unknown([](Module& m) { m.version = 2; }));
  EXPECT_TRUE(unknown([](Module& m) { m.augmentation = "eh"; }));
  EXPECT_TRUE(unknown([](Module& m) { m.augmentation = "zX"; }));
  EXPECT_TRUE(unknown([](Module& m) { m.augmentation = "zRRRRRRRR"; }));
  EXPECT_TRUE(unknown([](Module& m) { m.return_register = 15; }));
  EXPECT_TRUE(unknown([](Module& m) { m.has_distance = false; }));
  EXPECT_TRUE(unknown([](Module& m) { m.initial.push_back(0x3f); }));  // no instruction
  EXPECT_TRUE(unknown([](Module& m) { m.program = {0x3f}; }));
  EXPECT_TRUE(unknown([](Module& m) { m.program = {0x0b}; }));          // nothing remembered
  EXPECT_TRUE(unknown([](Module& m) { m.program = Bytes(5, 0x0a); }));  // too much remembered
  EXPECT_TRUE(unknown([](Module& m) { m.program = {0x04, 1, 2}; }));    // cut
  EXPECT_TRUE(unknown([](Module& m) { m.program = {0x0c, 40, 8}; }));   // a register that is not followed
  EXPECT_TRUE(unknown([](Module& m) { m.program = {0x09, kRbx, 40}; }));
  EXPECT_TRUE(unknown([](Module& m) { m.program = {0x0c, kRbx, 8}; }));  // a frame where no memory is
}

// Changed anywhere, a table gives an answer or none; it never makes the reader fail or run for ever.
TEST(FrameTableTest, DamageIsNoFault) {
  std::minstd_rand random(1);
  Module m = WithProgram({0x41, 0x0e, 16, 0x0a, 0x86, 2, 0x0b, 0x10, kRbx, 2, 0x38, 0x22, 0x41, 0x0f, 2, 0x77, 8});
  int unknown = 0;
  for (int round = 0; round < 3000; ++round) {
    const Layout layout(m);
    for (int i = 0; i < 3; ++i) memory[random() % layout.end()] = static_cast<uint8_t>(random());
    Registers r = Start();
    if (layout.Unwind(random() % kFunctionBytes, &r) == TableResult::kUnknown) ++unknown;
  }
  EXPECT_GT(unknown, 300);
}

}  // namespace
}  // namespace hakmem
#endif
