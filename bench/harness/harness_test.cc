#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "bench/harness/allocator_proof.h"
#include "bench/harness/block.h"
#include "bench/harness/flags.h"
#include "bench/harness/latency.h"
#include "bench/harness/load.h"
#include "bench/harness/measure.h"
#include "bench/harness/random.h"
#include "gtest/gtest.h"

ABSL_FLAG(int64_t, apples, 3, "how many apples");
ABSL_FLAG(bool, ripe, false, "are they ripe");

namespace hakmem::bench {
namespace {

using testing::ExitedWithCode;

std::vector<std::string> Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "program");
  return ParseFlags("usage text", static_cast<int>(words.size()), words.data());
}

TEST(Flags, TakesEveryForm) {
  EXPECT_EQ(Parse({"--apples=5", "one", "--ripe", "two"}), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(absl::GetFlag(FLAGS_apples), 5);
  EXPECT_TRUE(absl::GetFlag(FLAGS_ripe));
  EXPECT_TRUE(Parse({"--apples", "6", "--noripe"}).empty());
  EXPECT_EQ(absl::GetFlag(FLAGS_apples), 6);
  EXPECT_FALSE(absl::GetFlag(FLAGS_ripe));
  EXPECT_EQ(Parse({"--", "--apples=7"}), (std::vector<std::string>{"--apples=7"}));
  EXPECT_EQ(absl::GetFlag(FLAGS_apples), 6);
  EXPECT_EQ(Parse({"-12"}), (std::vector<std::string>{"-12"}));
}

TEST(FlagsDeathTest, EndsWithUsageStatus) {
  EXPECT_EXIT(Parse({"--pears=1"}), ExitedWithCode(kExitUsage), "unknown flag '--pears=1'");
  EXPECT_EXIT(Parse({"--noapples"}), ExitedWithCode(kExitUsage), "unknown flag '--noapples'");
  EXPECT_EXIT(Parse({"--apples=x"}), ExitedWithCode(kExitUsage), "'x' is no value for --apples");
  EXPECT_EXIT(Parse({"--apples"}), ExitedWithCode(kExitUsage), "--apples needs a value");
  // A flag of abseil's own, which would swallow misspelt ones.
  EXPECT_EXIT(Parse({"--undefok=pears"}), ExitedWithCode(kExitUsage), "unknown flag");
  EXPECT_EXIT(CheckRange("apples", 0, 1, 9), ExitedWithCode(kExitUsage), "--apples=0 is not between 1 and 9");
  EXPECT_EXIT(CheckRange("apples", 10, 1, 9), ExitedWithCode(kExitUsage), "--apples=10 is not between 1 and 9");
  EXPECT_EXIT(ParseNumber("seed", "4x"), ExitedWithCode(kExitUsage), "seed '4x' is not a whole number");
  EXPECT_EXIT(Parse({"--help"}), ExitedWithCode(0), "");
}

TEST(Flags, RangesIncludeTheirEnds) {
  CheckRange("apples", 1, 1, 9);
  CheckRange("apples", 9, 1, 9);
  EXPECT_EQ(ParseNumber("seed", "-17"), -17);
}

TEST(AllocatorProof, NamesTheObjectThatDefinesMalloc) {
  const AllocatorProof proof = ProveAllocator();
  EXPECT_FALSE(proof.object.empty());
  EXPECT_NE(proof.object, "unknown");
  EXPECT_NE(Describe(proof).find(proof.object), std::string::npos);
}

TEST(AllocatorProof, AgreesOnlyWithWhatWasProved) {
  AllocatorProof proof;
  proof.object = "/usr/lib/hakmem-dir/libjemalloc.so.2";
  EXPECT_TRUE(Agrees(proof, ""));
  EXPECT_TRUE(Agrees(proof, "any"));
  EXPECT_TRUE(Agrees(proof, "jemalloc"));
  EXPECT_FALSE(Agrees(proof, "mimalloc"));
  EXPECT_FALSE(Agrees(proof, "dir")) << "the directory is not the library's name";
  proof.object = "/usr/lib/libhakmem.so";
  EXPECT_FALSE(Agrees(proof, "hakmem")) << "a file name proves nothing for hakmem";
  proof.hakmem = true;
  EXPECT_TRUE(Agrees(proof, "hakmem"));
  proof.object = "/usr/lib/libjemalloc.so.2";
  proof.failure = "free comes from elsewhere";
  EXPECT_FALSE(Agrees(proof, "jemalloc")) << "half of a malloc measures two";
}

TEST(Block, KeepsItsStampAtEverySize) {
  for (size_t size = 0; size < 300; ++size) {
    std::vector<unsigned char> memory(size + 2, 0xEE);
    StampBlock(memory.data() + 1, size);
    CheckBlock(memory.data() + 1, size);
    EXPECT_EQ(memory.front(), 0xEE);
    EXPECT_EQ(memory.back(), 0xEE) << "the stamp of " << size << " bytes runs over";
  }
}

TEST(BlockDeathTest, DamageEndsTheProgram) {
  std::vector<unsigned char> memory(64);
  for (const size_t size : {size_t{1}, size_t{5}, size_t{8}, size_t{9}, size_t{64}}) {
    StampBlock(memory.data(), size);
    memory[0] ^= 1;
    EXPECT_EXIT(CheckBlock(memory.data(), size), ExitedWithCode(kExitDamaged), "at offset 0 stands");
    memory[0] ^= 1;
    if (size <= 8) continue;
    memory[size - 1] ^= 1;
    EXPECT_EXIT(CheckBlock(memory.data(), size), ExitedWithCode(kExitDamaged), "damaged block");
    memory[size - 1] ^= 1;
  }
  EXPECT_EXIT(ReportNoMemory(77), ExitedWithCode(kExitNoMemory), "a block of 77 bytes");
}

TEST(Random, StaysInItsBoundsAndReachesThem) {
  Random random(42);
  std::set<uint64_t> seen;
  for (int i = 0; i < 2000; ++i) {
    const uint64_t value = random.Between(3, 12);
    ASSERT_GE(value, 3u);
    ASSERT_LE(value, 12u);
    seen.insert(value);
    const double unit = random.Unit();
    ASSERT_GT(unit, 0);
    ASSERT_LE(unit, 1);
  }
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(Random(7).Next(), Random(7).Next());
  EXPECT_NE(Random(7).Next(), Random(8).Next());
}

TEST(Latency, BucketsAreInOrderAndTight) {
  for (uint64_t value = 0; value < 100'000; ++value) {
    const int bucket = LatencyHistogram::BucketOf(value);
    ASSERT_LT(value, LatencyHistogram::UpperBound(bucket));
    if (bucket > 0) {
      ASSERT_GE(value, LatencyHistogram::UpperBound(bucket - 1));
    }
  }
  // A sixteenth of the value is the widest bucket.
  const int bucket = LatencyHistogram::BucketOf(uint64_t{1} << 40);
  EXPECT_EQ(LatencyHistogram::UpperBound(bucket), (uint64_t{17} << 36));
}

TEST(Latency, TheClocksOwnTimeIsTakenOff) {
  const uint64_t cost = ClockCost();
  EXPECT_GT(cost, 0u);
  // Nothing between two looks at the clock: half of all such intervals are at most the cost, and few far above it.
  LatencyHistogram empty;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t start = Ticks();
    empty.Add(Ticks() - start);
  }
  EXPECT_LE(static_cast<double>(empty.Percentile(0.5)), 1.25 * static_cast<double>(cost) + 8);
  EXPECT_GE(static_cast<double>(empty.Percentile(0.9)), 0.5 * static_cast<double>(cost));
}

TEST(Latency, MeasuresWhatLiesBetweenTwoLooks) {
  // Sleep of a known length; what a machine that is busy adds only makes it longer.
  const double scale = NanosecondsPerTick();
  const uint64_t start = Ticks();
  usleep(2000);
  EXPECT_GE(static_cast<double>(Ticks() - start) * scale, 1.9e6);
  EXPECT_GT(scale, 0);
}

TEST(Latency, PercentilesCoverTheirShare) {
  LatencyHistogram one;
  LatencyHistogram two;
  EXPECT_EQ(one.Percentile(0.5), 0u);
  for (uint64_t i = 1; i <= 500; ++i) one.Add(i);
  for (uint64_t i = 501; i <= 1000; ++i) two.Add(i);
  one.Merge(two);
  EXPECT_EQ(one.count(), 1000u);
  EXPECT_EQ(one.most(), 1000u);
  EXPECT_NEAR(static_cast<double>(one.Percentile(0.5)), 500, 500.0 / 16 + 1);
  EXPECT_NEAR(static_cast<double>(one.Percentile(0.99)), 990, 990.0 / 16 + 1);
  EXPECT_EQ(one.Percentile(1), 1000u);
}

TEST(Measure, CpuTimeFollowsWork) {
  const double before = CpuOfProcess().total();
  const double start = WallSeconds();
  volatile uint64_t sum = 0;
  while (CpuOfProcess().total() - before < 0.05 && WallSeconds() - start < 20) {
    for (int i = 0; i < 100'000; ++i) sum = sum + 1;
  }
  EXPECT_GE(CpuOfProcess().total() - before, 0.05);
  // Sleeping costs no CPU time.
  const double asleep = CpuOfProcess().total();
  usleep(100'000);
  EXPECT_LT(CpuOfProcess().total() - asleep, 0.05);
}

TEST(Measure, PeakRemembersWhatWasGivenBack) {
  EXPECT_EQ(StatusKib("NoSuchLine"), -1);
  // "Vm" begins many lines and is none.
  EXPECT_EQ(StatusKib("Vm"), -1);
  constexpr size_t kBytes = size_t{32} << 20;
  const int64_t before = StatusKib("VmRSS");
  ASSERT_GT(before, 0);
  void* block = std::malloc(kBytes);
  std::memset(block, 1, kBytes);
  const int64_t with_block = StatusKib("VmRSS");
  asm volatile("" : : "r"(block) : "memory");
  EXPECT_GE(with_block, before + (24 << 10));
  std::free(block);
  // The kernel notes the peak from counters that it keeps for each processor, so it may lack some pages.
  EXPECT_GE(StatusKib("VmHWM"), with_block - (2 << 10));
}

TEST(RunThreads, RunsEachIndexOnce) {
  std::vector<int> runs(7, 0);
  std::vector<std::thread::id> ids(7);
  RunThreads(7, [&](int i) {
    ++runs[static_cast<size_t>(i)];
    ids[static_cast<size_t>(i)] = std::this_thread::get_id();
  });
  EXPECT_EQ(runs, std::vector<int>(7, 1));
  for (const std::thread::id& id : ids) EXPECT_NE(id, std::this_thread::get_id());
}

TEST(LoadDeathTest, RefusesAnotherAllocatorThanAskedFor) {
  const char* argv[] = {"program", "--expect=no-such-allocator"};
  EXPECT_EXIT(Load("test", "usage", 2, argv), ExitedWithCode(kExitAllocator), "expected allocator 'no-such-allocator'");
}

TEST(LoadDeathTest, RefusesWords) {
  const char* argv[] = {"program", "word"};
  EXPECT_EXIT(Load("test", "usage", 2, argv).RefuseWords(), ExitedWithCode(kExitUsage), "'word' is not understood");
}

TEST(Load, ReportsEveryMeasurement) {
  const char* argv[] = {"program"};
  testing::internal::CaptureStdout();
  {
    Load load("test", "usage", 1, argv);
    load.Start();
    usleep(20'000);
    load.Finish(1000);
    load.Print("extra", 2.5);
    EXPECT_GE(load.wall_seconds(), 0.02);
  }
  const std::string report = testing::internal::GetCapturedStdout();
  for (const char* key : {"load: test\n", "\nallocator: ", "\noperations: 1000\n", "\nwall_seconds: 0.",
                          "\ncpu_user_seconds: ", "\ncpu_system_seconds: ", "\noperations_per_second: ",
                          "\ncpu_ns_per_operation: ", "\nminor_faults: ", "\npeak_rss_kib: ", "\nextra: 2.5\n"}) {
    EXPECT_NE(report.find(key), std::string::npos) << "no '" << key << "' in:\n" << report;
  }
}

}  // namespace
}  // namespace hakmem::bench
