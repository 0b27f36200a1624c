// Short-lived small blocks of one thread, the common case of compilers and interpreters: big integers whose every
// operation makes a new number, and lists that are built, mapped, reversed and dropped. Both have known results, so
// wrong contents show.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/load.h"
#include "bench/harness/random.h"

ABSL_FLAG(std::string, mode, "integers", "'integers' or 'lists'");
ABSL_FLAG(int64_t, rounds, 100'000, "integers: hundreds of steps of the recurrence; lists: lists of 1 to 600 cells");
ABSL_FLAG(int64_t, words, 12, "integers: most words of 32 bits of a number");

namespace hakmem::bench {
namespace {

constexpr char kUsage[] =
    "short_lived [flags]\n\n"
    "Big integers or lists in short-lived small blocks. An operation is one malloc or free.";

uint64_t operations = 0;

void* Allocate(size_t size) {
  ++operations;
  void* block = std::malloc(size);
  if (__builtin_expect(block == nullptr, 0)) ReportNoMemory(size);
  return block;
}

void Release(void* block) {
  ++operations;
  std::free(block);
}

[[noreturn]] void WrongResult(const char* what) {
  std::fprintf(stderr, "short_lived: %s: a wrong result, so the contents of some block were damaged\n", what);
  std::_Exit(kExitDamaged);
}

// A natural number, words of 32 bits, least first. Owned through plain pointers: every operation returns a new number.
struct Natural {
  uint32_t count;
  uint32_t words[];
};

Natural* NewNatural(uint32_t count) {
  auto* number = static_cast<Natural*>(Allocate(sizeof(Natural) + count * sizeof(uint32_t)));
  number->count = count;
  return number;
}

Natural* FromWord(uint32_t word) {
  Natural* number = NewNatural(1);
  number->words[0] = word;
  return number;
}

Natural* Times(const Natural* a, const Natural* b) {
  Natural* product = NewNatural(a->count + b->count);
  for (uint32_t i = 0; i < product->count; ++i) product->words[i] = 0;
  for (uint32_t i = 0; i < a->count; ++i) {
    uint64_t carry = 0;
    for (uint32_t j = 0; j < b->count; ++j) {
      carry += static_cast<uint64_t>(a->words[i]) * b->words[j] + product->words[i + j];
      product->words[i + j] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    product->words[i + b->count] = static_cast<uint32_t>(carry);
  }
  return product;
}

Natural* Plus(const Natural* a, const Natural* b) {
  if (a->count < b->count) return Plus(b, a);
  Natural* sum = NewNatural(a->count + 1);
  uint64_t carry = 0;
  for (uint32_t i = 0; i < a->count; ++i) {
    carry += static_cast<uint64_t>(a->words[i]) + (i < b->count ? b->words[i] : 0);
    sum->words[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  sum->words[a->count] = static_cast<uint32_t>(carry);
  return sum;
}

// The lowest `most` words without leading zeros: arithmetic modulo 2^(32 * most).
Natural* Truncated(const Natural* a, uint32_t most) {
  uint32_t count = a->count < most ? a->count : most;
  while (count > 1 && a->words[count - 1] == 0) --count;
  Natural* result = NewNatural(count);
  for (uint32_t i = 0; i < count; ++i) result->words[i] = a->words[i];
  return result;
}

uint32_t Remainder(const Natural* a, uint32_t divisor) {
  uint64_t rest = 0;
  for (uint32_t i = a->count; i-- > 0;) rest = ((rest << 32) | a->words[i]) % divisor;
  return static_cast<uint32_t>(rest);
}

// x := x * m + c with m of random length, truncated when it has grown; the same is computed modulo a prime beside it,
// and modulo 2^32 after a truncation.
void RunIntegers(int64_t rounds, uint32_t most) {
  constexpr uint32_t kPrime = 4'294'967'291u;
  Random random(1);
  Natural* x = FromWord(7);
  uint64_t mirror = 7;
  for (int64_t i = 0; i < rounds; ++i) {
    const auto factor_word = static_cast<uint32_t>(random.Next() | 1);
    Natural* factor = FromWord(factor_word);
    Natural* addend = FromWord(static_cast<uint32_t>(i));
    Natural* product = Times(x, factor);
    Natural* sum = Plus(product, addend);
    mirror = (mirror * factor_word + static_cast<uint32_t>(i)) % kPrime;
    Release(x);
    Release(factor);
    Release(product);
    Release(addend);
    x = Truncated(sum, sum->count);
    Release(sum);
    if (Remainder(x, kPrime) != mirror) WrongResult("integers");
    if (x->count >= most) {
      Natural* shorter = Truncated(x, random.Below(most / 2) + 1);
      Release(x);
      x = shorter;
      mirror = Remainder(x, kPrime);
    }
  }
  Release(x);
}

struct Cell {
  Cell* next;
  uint64_t value;
};

Cell* Cons(uint64_t value, Cell* next) {
  auto* cell = static_cast<Cell*>(Allocate(sizeof(Cell)));
  cell->next = next;
  cell->value = value;
  return cell;
}

void DropList(Cell* list) {
  while (list != nullptr) {
    Cell* next = list->next;
    Release(list);
    list = next;
  }
}

Cell* Reversed(const Cell* list) {
  Cell* result = nullptr;
  for (; list != nullptr; list = list->next) result = Cons(list->value, result);
  return result;
}

// The values doubled, without those that 3 divides; in reverse order.
Cell* MappedAndFiltered(const Cell* list) {
  Cell* result = nullptr;
  for (; list != nullptr; list = list->next) {
    if (list->value % 3 != 0) result = Cons(2 * list->value, result);
  }
  return result;
}

void RunLists(int64_t rounds) {
  Random random(2);
  for (int64_t i = 0; i < rounds; ++i) {
    const uint64_t length = 1 + random.Below(600);
    Cell* list = nullptr;
    for (uint64_t value = 1; value <= length; ++value) list = Cons(value, list);
    Cell* reversed = Reversed(list);
    DropList(list);
    Cell* mapped = MappedAndFiltered(reversed);
    uint64_t sum = 0;
    for (const Cell* cell = mapped; cell != nullptr; cell = cell->next) sum += cell->value;
    // 2 * (all - those that 3 divides), by the formula for triangular numbers.
    const uint64_t thirds = length / 3;
    if (sum != length * (length + 1) - 3 * thirds * (thirds + 1)) WrongResult("lists");
    DropList(reversed);
    DropList(mapped);
  }
}

int Main(int argc, char** argv) {
  Load load("short_lived", kUsage, argc, argv);
  load.RefuseWords();
  const std::string mode = absl::GetFlag(FLAGS_mode);
  const int64_t rounds = absl::GetFlag(FLAGS_rounds);
  const int64_t words = absl::GetFlag(FLAGS_words);
  if (mode != "integers" && mode != "lists")
    UsageError(absl::StrCat("--mode=", mode, " is neither integers nor lists"));
  CheckRange("rounds", rounds, 1, int64_t{1} << 40);
  CheckRange("words", words, 2, 1'000'000);
  load.Start();
  if (mode == "integers") {
    RunIntegers(rounds * 100, static_cast<uint32_t>(words));
  } else {
    RunLists(rounds);
  }
  load.Finish(operations);
  return 0;
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) { return hakmem::bench::Main(argc, argv); }
