// Recordings made up: each kind of record, order across threads, addresses used again, damage at every byte.
#include "testing/recording/raw_file.h"

#include <algorithm>
#include <map>

#include "gtest/gtest.h"
#include "testing/op_stream/plan.h"
#include "testing/op_stream/random_stream.h"
#include "testing/op_stream/text.h"
#include "testing/recording/raw_writer.h"
#include "testing/recording/recording.h"

namespace hakmem::recording {
namespace {

using op_stream::OpKind;
using op_stream::Stream;
using trace::Op;

constexpr uint64_t kA = 0x10000;
constexpr uint64_t kB = 0x20000;

std::string TextOf(const Stream& stream) {
  std::string text;
  for (const op_stream::Op& op : stream.ops) text += op_stream::ToText(op) + "\n";
  return text;
}

Recording Read(RawWriter* writer) {
  Recording recording = ReadRecording(writer->Bytes());
  EXPECT_TRUE(recording.readable);
  EXPECT_EQ(op_stream::FindError(recording.stream), "");
  EXPECT_EQ(op_stream::MakePlan(recording.stream).left_out, 0u);
  return recording;
}

TEST(RawFileTest, EachRecordBecomesItsOperation) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  raw.Add(1, Op::kMalloc, {2, kA, 100});
  raw.Add(1, Op::kRealloc, {3, kA, kB, 200, 1});
  raw.Add(1, Op::kRealloc, {4, kB, kB, 210, 0});
  raw.Add(1, Op::kFreeNull, {5});
  raw.Add(1, Op::kFree, {6, kB});
  raw.Add(1, Op::kCalloc, {7, kA, 60});
  raw.Add(1, Op::kFreeSized, {8, kA, 60});
  raw.Add(1, Op::kAlignedAlloc, {9, kA, 128, 6});
  raw.Add(1, Op::kFreeAlignedSized, {10, kA, 128, 6});
  raw.Add(1, Op::kPosixMemalign, {11, kA, 64, 5});
  raw.Add(1, Op::kMemalign, {12, kB, 64, 12});
  raw.Add(1, Op::kMalloc, {13, uint64_t{1} << 50}, true);
  raw.Add(1, Op::kRealloc, {14, kA, uint64_t{1} << 50}, true);
  raw.Add(1, Op::kTrim, {15, 10});
  raw.Add(1, Op::kFork, {16});
  raw.Add(1, Op::kThreadEnd, {17});
  const Recording recording = Read(&raw);
  EXPECT_EQ(recording.error, "");
  EXPECT_EQ(recording.note, "2 calls that got no memory, 1 times free(NULL)");
  EXPECT_EQ(
      TextOf(recording.stream),
      "0 malloc 0 100\n0 realloc 0 200\n0 realloc 0 210\n0 free 0\n0 calloc 0 60 1\n0 free_sized 0\n"
      "0 aligned_alloc 0 128 6\n0 free_sized 0\n0 posix_memalign 0 64 5\n0 memalign 1 64 12\n0 trim 10\n0 fork\n");
  EXPECT_EQ(recording.stream.header.threads, 1u);
  EXPECT_EQ(recording.stream.header.slots, 2u);
  EXPECT_EQ(recording.stream.header.max_size, 210u);
  EXPECT_EQ(recording.stream.header.max_live, 64u + 4096u);
}

TEST(RawFileTest, BlocksAreHandedToWhoFreesThem) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  raw.Add(1, Op::kMalloc, {2, kA, 100});
  raw.Add(2, Op::kThread, {3, 2, 78});
  raw.Add(2, Op::kFree, {4, kA});
  raw.Add(2, Op::kMalloc, {5, kB, 30});
  raw.Add(2, Op::kThreadEnd, {6});
  raw.Add(1, Op::kRealloc, {9, kB, kA, 40, 2});
  const Recording recording = Read(&raw);
  EXPECT_EQ(recording.note, "");
  // The thread ends before its block is resized, so it hands it over at its end.
  EXPECT_EQ(TextOf(recording.stream),
            "0 malloc 0 100\n0 start 1\n0 hand 0 1 0\n1 free 0\n1 malloc 1 30\n1 hand 1 0 1\n1 end\n0 realloc 1 40\n");
}

TEST(RawFileTest, AtEqualTicksAFreeComesFirst) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  raw.Add(2, Op::kThread, {1, 2, 78});
  raw.Add(2, Op::kMalloc, {2, kA, 100});
  raw.Add(1, Op::kMalloc, {7, kA, 50});  // stands before in the file
  raw.Add(2, Op::kFree, {7, kA});
  const Recording recording = Read(&raw);
  EXPECT_EQ(recording.note, "");
  EXPECT_EQ(TextOf(recording.stream), "0 start 1\n1 malloc 0 100\n1 free 0\n1 end\n0 malloc 0 50\n");
}

TEST(RawFileTest, TheOldAddressOfAReallocIsFreeBeforeItEnds) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  raw.Add(1, Op::kMalloc, {2, kA, 100});
  raw.Add(2, Op::kThread, {3, 2, 78});
  raw.Add(2, Op::kMalloc, {5, kA, 7});
  raw.Add(2, Op::kFree, {6, kA});
  raw.Add(1, Op::kRealloc, {8, kA, kB, 300, 4});
  const Recording recording = Read(&raw);
  EXPECT_EQ(recording.note, "");
  EXPECT_EQ(TextOf(recording.stream), "0 malloc 0 100\n0 start 1\n1 malloc 0 7\n1 free 0\n1 end\n0 realloc 0 300\n");
}

TEST(RawFileTest, UnknownAndRepeatedAddressesAreCounted) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  raw.Add(1, Op::kFree, {2, kA});                // from before the recording
  raw.Add(1, Op::kRealloc, {3, kA, kB, 10, 1});  // so was this: now it is new
  raw.Add(1, Op::kMalloc, {4, kB, 20});          // its free was lost
  raw.Add(1, Op::kFree, {5, kB});
  raw.Add(1, Op::kFree, {6, kB});
  raw.Add(1, Op::kMalloc, {7, kA, uint64_t{1} << 41});
  raw.header().state.lost = 3;
  const Recording recording = Read(&raw);
  EXPECT_EQ(recording.note,
            "2 calls with blocks from before the recording, 1 blocks at addresses that were in use, 1 blocks too large "
            "or too strictly aligned for a stream, 3 calls lost while recording");
  EXPECT_EQ(TextOf(recording.stream), "0 malloc 0 10\n0 malloc 1 20\n0 free 0\n0 free 1\n");
}

TEST(RawFileTest, NumbersOfThreadsAreUsedAgain) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  for (uint32_t i = 0; i < 1000; ++i) {
    raw.Add(2, Op::kThread, {10 + 10 * i, i + 2, 1000 + i});
    raw.Add(2, Op::kMalloc, {11 + 10 * i, kA, i});
    raw.Add(2, Op::kFree, {12 + 10 * i, kA});
    raw.Add(2, Op::kThreadEnd, {13 + 10 * i});
  }
  const Recording recording = Read(&raw);
  EXPECT_EQ(recording.note, "");
  EXPECT_EQ(recording.stream.header.threads, 2u);
  EXPECT_EQ(recording.stream.ops.size(), 4000u);
}

TEST(RawFileTest, ThreadsBeyondTheLimitAreFolded) {
  RawWriter raw;
  for (uint32_t i = 1; i <= 300; ++i) {
    raw.Add(i, Op::kThread, {i, i, i});
    raw.Add(i, Op::kMalloc, {1000 + i, kA + 0x100 * i, i});
  }
  const Recording recording = Read(&raw);
  EXPECT_EQ(recording.stream.header.threads, 256u);
  EXPECT_EQ(recording.note, "44 threads too many for a stream, done by its first");
}

// A recording of several threads that hand blocks around, from a seed.
std::string RandomBytes(uint64_t seed, int ops) {
  op_stream::SeededRandom random(seed);
  RawWriter raw;
  std::vector<uint64_t> live;
  uint64_t tick = 1;
  for (uint32_t thread = 1; thread <= 3; ++thread) raw.Add(thread, Op::kThread, {tick++, thread, thread});
  for (int i = 0; i < ops; ++i) {
    const uint32_t thread = 1 + static_cast<uint32_t>(random.Below(3));
    tick += 1 + random.Below(100);
    const uint64_t address = 16 * (1 + random.Below(1 << 30));
    const bool used = std::find(live.begin(), live.end(), address) != live.end();
    if (live.empty() || (random.OneIn(2) && !used)) {
      raw.Add(thread, Op::kMalloc, {tick, address, random.Below(1000)});
      live.push_back(address);
    } else if (random.OneIn(3) && !used) {
      raw.Add(thread, Op::kRealloc, {tick, live.back(), address, random.Below(1000), 0});
      live.back() = address;
    } else {
      const size_t victim = random.Below(live.size());
      raw.Add(thread, Op::kFree, {tick, live[victim]});
      live.erase(live.begin() + static_cast<ptrdiff_t>(victim));
    }
  }
  return raw.Bytes();
}

size_t Count(const Stream& stream, OpKind kind) {
  return static_cast<size_t>(
      std::count_if(stream.ops.begin(), stream.ops.end(), [kind](const op_stream::Op& op) { return op.kind == kind; }));
}

TEST(RawFileTest, RandomRecordingsAreWhole) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const Recording recording = ReadRecording(RandomBytes(seed, 400));
    ASSERT_EQ(recording.error, "");
    ASSERT_EQ(recording.note, "");
    const Stream& stream = recording.stream;
    ASSERT_EQ(op_stream::FindError(stream), "");
    ASSERT_EQ(op_stream::MakePlan(stream).left_out, 0u);
    ASSERT_EQ(Count(stream, OpKind::kMalloc) + Count(stream, OpKind::kRealloc) + Count(stream, OpKind::kFree), 400u);
    ASSERT_GT(Count(stream, OpKind::kHand), 10u);
  }
}

// No byte of a recording, changed in any of several ways, leads to a crash or to a stream that is not valid.
TEST(RawFileTest, DamageAtEveryByteGivesAValidStream) {
  const std::string sound = RandomBytes(7, 60);
  ASSERT_EQ(ReadRecording(sound).error, "");
  size_t noticed = 0;
  for (size_t at = 0; at < sound.size(); ++at) {
    for (const unsigned char bits : {0x01, 0x80, 0xff}) {
      std::string damaged = sound;
      damaged[at] = static_cast<char>(damaged[at] ^ bits);
      const Recording recording = ReadRecording(damaged);
      ASSERT_EQ(op_stream::FindError(recording.stream), "") << at;
      ASSERT_TRUE(recording.readable || !recording.error.empty()) << at;
      if (recording.readable) ASSERT_EQ(op_stream::MakePlan(recording.stream).left_out, 0u) << at;
      noticed += recording.error.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(noticed, sound.size() / 2);
}

// Everything in a full chunk is covered by its sum.
TEST(RawFileTest, DamagedRecordsOfAFullChunkAreNoticed) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  for (uint64_t i = 0; i < 100; ++i) raw.Add(1, Op::kMalloc, {2 + i, kA + 16 * i, i});
  const std::string sound = raw.Bytes();
  const size_t ops = ReadRecording(sound).stream.ops.size();
  ASSERT_EQ(ops, 100u);
  for (size_t at = 256 + sizeof(trace::ChunkHeader); at < 256 + 200; ++at) {
    std::string damaged = sound;
    damaged[at] ^= 1;
    const Recording recording = ReadRecording(damaged);
    ASSERT_NE(recording.error.find("the sum does not agree in the chunk at byte 256"), std::string::npos)
        << at << ": " << recording.error;
    ASSERT_LT(recording.stream.ops.size(), ops);
  }
}

TEST(RawFileTest, TruncationAtEveryByteGivesAPrefix) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  for (uint64_t i = 0; i < 100; ++i) raw.Add(1, Op::kMalloc, {2 + i, kA + 16 * i, i});
  const std::string sound = raw.Bytes();
  const Stream whole = ReadRecording(sound).stream;
  size_t before = 0;
  for (size_t size = 0; size < sound.size(); ++size) {
    const Recording cut = ReadRecording(std::string_view(sound).substr(0, size));
    ASSERT_EQ(cut.readable, size >= sizeof(trace::FileHeader)) << size;
    // Between two chunks nothing tells that one is missing.
    ASSERT_EQ(cut.error.empty(), size >= sizeof(trace::FileHeader) && size % 256 == 0) << size << cut.error;
    ASSERT_GE(cut.stream.ops.size(), before) << size;
    before = cut.stream.ops.size();
    ASSERT_TRUE(std::equal(cut.stream.ops.begin(), cut.stream.ops.end(), whole.ops.begin())) << size;
  }
  EXPECT_EQ(before, whole.ops.size());
  // Three threads: what is left is valid.
  const std::string threads = RandomBytes(3, 100);
  for (size_t size = 0; size < threads.size(); ++size) {
    const Recording cut = ReadRecording(std::string_view(threads).substr(0, size));
    ASSERT_EQ(op_stream::FindError(cut.stream), "");
    if (cut.readable) ASSERT_EQ(op_stream::MakePlan(cut.stream).left_out, 0u) << size;
  }
}

TEST(RawFileTest, AMissingChunkEndsTheRecording) {
  RawWriter raw;
  raw.Add(1, Op::kThread, {1, 1, 77});
  raw.Add(2, Op::kThread, {1, 2, 78});
  for (uint64_t i = 0; i < 100; ++i) {
    raw.Add(1, Op::kMalloc, {2 + 2 * i, kA + 16 * i, i});
    raw.Add(2, Op::kFree, {3 + 2 * i, kA + 16 * i});
  }
  std::string bytes = raw.Bytes();
  std::fill(bytes.begin() + 3 * 256, bytes.begin() + 4 * 256, '\0');  // the second chunk of a stream, as if not begun
  const Recording recording = ReadRecording(bytes);
  EXPECT_NE(recording.error.find("chunk 1 of stream 1 is missing"), std::string::npos) << recording.error;
  EXPECT_EQ(recording.note, "");
  EXPECT_GT(recording.stream.ops.size(), 50u);
  EXPECT_LT(recording.stream.ops.size(), 150u);
}

TEST(RawFileTest, HeadersSayWhatIsWrong) {
  EXPECT_EQ(ReadRecording("").error, "the file is empty");
  EXPECT_NE(ReadRecording("ELF").error.find("this is no recording"), std::string::npos);
  RawWriter raw;
  raw.header().start.version = 9;
  EXPECT_EQ(ReadRecording(raw.Bytes()).error, "version 9 of the format; this program reads version 1");
  raw = RawWriter();
  raw.header().start.byte_order = 0x04030201;
  EXPECT_EQ(ReadRecording(raw.Bytes()).error, "the recording was made on a machine of the other byte order");
  raw = RawWriter();
  raw.header().start.forked_from = 12;
  raw.header().state.ended_error = 28;
  EXPECT_EQ(ReadRecording(raw.Bytes()).note,
            "recorded from a fork of process 12 on; the recording ended early: No space left on device");
  EXPECT_EQ(LoadRecording("/no/where").error, "No such file or directory");
}

}  // namespace
}  // namespace hakmem::recording
