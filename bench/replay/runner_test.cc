// Compiled streams do what the streams say, in every configuration; damage is found; what the figures rest on is right.
#include "bench/replay/runner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include <hakmem/hakmem.h>

#include "bench/harness/flags.h"
#include "bench/replay/picture.h"
#include "bench/replay/program.h"
#include "gtest/gtest.h"
#include "testing/op_stream/random_stream.h"
#include "testing/op_stream/text.h"

namespace hakmem::bench {
namespace {

using op_stream::Allocator;
using op_stream::Stream;

Stream Parse(const std::string& ops) {
  const op_stream::Decoded decoded =
      op_stream::ParseText("stream threads=4 slots=100 max_size=10000000000 max_live=1000000000000\n" + ops);
  EXPECT_EQ(decoded.error, "");
  return decoded.stream;
}

class File {
 public:
  explicit File(const Stream& stream, uint32_t points = 0) : file_(memfd_create("program", MFD_CLOEXEC)) {
    EXPECT_EQ(CompileProgram(stream, points, file_), "");
  }
  ~File() { close(file_); }
  int get() const { return file_; }

 private:
  const int file_;
};

void Replay(const Stream& stream, const Allocator& allocator, int times = 1, bool check = true) {
  const File file(stream);
  const Program program(file.get());
  Runner runner(program, allocator);
  for (int i = 0; i < times; ++i) runner.Run({.check = check, .samples = nullptr});
}

// Counts the calls and the bytes of an allocator beneath.
std::atomic<uint64_t> made, freed, asked;

void* CountedMalloc(size_t size) {
  ++made;
  asked += size;
  return op_stream::SystemAllocator().malloc(size);
}
void* CountedRealloc(void* p, size_t size) {
  made += p == nullptr ? 1 : 0;
  asked += size;
  return op_stream::SystemAllocator().realloc(p, size);
}
void CountedFree(void* p) {
  freed += p == nullptr ? 0 : 1;
  op_stream::SystemAllocator().free(p);
}

Allocator Counted() {
  made = freed = asked = 0;
  Allocator counted = op_stream::SystemAllocator();
  counted.malloc = &CountedMalloc;
  counted.realloc = &CountedRealloc;
  counted.free = &CountedFree;
  return counted;
}

TEST(RunnerTest, EveryBlockIsMadeAndFreedOnce) {
  const Allocator counted = Counted();
  Replay(
      Parse("0 malloc 0 10\n0 malloc 1 20\n0 free 0\n0 free 0\n0 realloc 1 30\n0 start 1\n0 hand 1 1 5\n1 realloc 5 0\n"
            "1 malloc 5 7\n1 malloc 6 0\n0 realloc 9 50\n1 end\n"),
      counted, 3);
  EXPECT_EQ(made, 3u * 5);
  EXPECT_EQ(freed, 3u * 5);
  EXPECT_EQ(asked, 3u * (10 + 20 + 30 + 7 + 0 + 50));
}

TEST(RunnerTest, OperationsAreCallsOfTheAllocator) {
  const File file(
      Parse("0 malloc 0 10\n0 start 1\n1 calloc 0 2 3\n0 hand 0 1 1\n1 free 1\n0 barrier\n0 refused 0 0\n0 free 5\n"));
  const Program program(file.get());
  EXPECT_EQ(program.header().operations, 3u);
  EXPECT_EQ(program.header().threads, 4u);
  EXPECT_EQ(program.header().peak_live, 16u);
}

std::atomic<size_t> largest;
void* RefusingMalloc(size_t size) {
  largest = size;
  return nullptr;
}

TEST(RunnerDeathTest, SizesBeyond4GiBAndNoMemory) {
  Allocator refusing = op_stream::SystemAllocator();
  refusing.malloc = &RefusingMalloc;
  EXPECT_EXIT(Replay(Parse("0 malloc 0 5000000000\n"), refusing), ::testing::ExitedWithCode(kExitNoMemory),
              "5000000000");
}

TEST(RunnerTest, RandomStreamsOnHakmemAndOnTheProgramsMalloc) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const Stream stream = op_stream::MakeRandomStream(
        {.seed = seed, .ops = 5000, .header = {.threads = 4, .slots = 100, .max_size = 1 << 20}, .forks = 1});
    Replay(stream, op_stream::HakAllocator(), 2);
    Replay(stream, op_stream::HakAllocator(), 1, false);
    if (op_stream::SystemAllocator().refuses) Replay(stream, op_stream::SystemAllocator());
  }
}

// Thread 1 frees what thread 0 makes, each block handed over by itself: the order between them is kept, however the
// threads are scheduled, or a block would be freed before it is there.
TEST(RunnerTest, OrderIsKeptWhereBlocksAreHandedOver) {
  std::string ops = "0 start 1\n";
  for (int i = 0; i < 3000; ++i) {
    const std::string slot = std::to_string(i % 7);
    ops += "0 malloc " + slot + " 40\n0 hand " + slot + " 1 " + slot + "\n1 realloc " + slot + " 50\n1 free " + slot +
           "\n";
  }
  const Allocator counted = Counted();
  Replay(Parse(ops), counted);
  EXPECT_EQ(made, 3000u);
  EXPECT_EQ(freed, 3000u);
}

TEST(RunnerTest, ThreadsRunSeveralTimes) {
  std::string ops;
  for (int i = 0; i < 50; ++i)
    ops += "0 start 1\n1 start 2\n2 malloc 0 10\n2 end\n1 malloc 0 10\n1 end\n2 free 0\n0 barrier\n";
  const Allocator counted = Counted();
  Replay(Parse(ops), counted, 2);
  EXPECT_EQ(made, freed);
  EXPECT_EQ(made, 2u * 2);  // the slots stay full
}

// Allocators with one fault each.
void* SameBlock(size_t) {
  alignas(64) static unsigned char block[64];
  return block;
}
void* SkewedMemalign(size_t, size_t size) { return static_cast<char*>(malloc(size + 64)) + 8; }
void* DirtyCalloc(size_t count, size_t size) { return memset(malloc(count * size), 1, count * size); }
void* ForgetfulRealloc(void*, size_t size) { return malloc(size); }
void NoFree(void*) {}

TEST(RunnerDeathTest, FaultsAreFound) {
  const auto damaged = ::testing::ExitedWithCode(kExitDamaged);
  Allocator broken = op_stream::SystemAllocator();
  broken.free = &NoFree;
  broken.free_sized = nullptr;
  broken.malloc = &SameBlock;
  EXPECT_EXIT(Replay(Parse("0 malloc 0 20\n0 malloc 1 30\n0 free 0\n"), broken), damaged, "");
  broken = op_stream::SystemAllocator();
  broken.free = &NoFree;
  broken.memalign = &SkewedMemalign;
  broken.calloc = &DirtyCalloc;
  broken.realloc = &ForgetfulRealloc;
  EXPECT_EXIT(Replay(Parse("0 memalign 0 20 6\n"), broken), damaged, "not aligned");
  EXPECT_EXIT(Replay(Parse("0 calloc 0 20 6\n"), broken), damaged, "not zero");
  EXPECT_EXIT(Replay(Parse("0 malloc 0 20\n0 realloc 0 300\n"), broken), damaged, "did not keep");
}

TEST(RunnerTest, MemoryIsMeasuredAtItsPoints) {
  const File file(Parse("0 malloc 0 40000000\n0 malloc 1 1\n0 free 0\n0 free 1\n"), 4);
  const Program program(file.get());
  ASSERT_EQ(program.header().points, 4u);
  EXPECT_EQ(program.point(0).live_bytes, 40000000u);
  EXPECT_EQ(program.point(1).operation, 2u);
  EXPECT_EQ(program.point(3).live_bytes, 0u);
  Runner runner(program, op_stream::HakAllocator());
  Sample samples[4];
  hak_trim(0);  // what other tests have left idle would serve a part of the block, and is resident before
  runner.Run({.check = false, .samples = samples});
  // Touched, a byte of each page.
  EXPECT_GT(samples[0].resident, 39'000'000u);
  EXPECT_LT(samples[0].resident, 100'000'000u);  // a thread sanitizer's shadow is resident, too
  EXPECT_GE(samples[3].seconds, samples[0].seconds);
}

TEST(RunnerTest, PointsAreSpreadEvenly) {
  const Stream stream = op_stream::MakeRandomStream({.seed = 3, .ops = 5000, .forks = 0});
  const File file(stream, 10);
  const Program program(file.get());
  ASSERT_EQ(program.header().points, 10u);
  const uint64_t part = program.point(9).operation / 10;
  for (uint32_t i = 0; i < 10; ++i) EXPECT_NEAR(double(program.point(i).operation), double(part * (i + 1)), 10);
}

TEST(PictureTest, HoldsBothLines) {
  const std::string svg = MemoryPicture("a & b", {{1, 1 << 20, 2 << 20}, {100, 5 << 20, 6 << 20}});
  EXPECT_NE(svg.find("a &amp; b"), std::string::npos);
  EXPECT_NE(svg.find(">resident<"), std::string::npos);
  EXPECT_NE(svg.find(">live<"), std::string::npos);
  EXPECT_NE(svg.find("6 MiB"), std::string::npos) << svg;
  EXPECT_NE(MemoryPicture("none", {}).find("</svg>"), std::string::npos);
}

}  // namespace
}  // namespace hakmem::bench
