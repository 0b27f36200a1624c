// The tuning tool on traces small enough to count by hand; and what the allocator's sources say about their figures.
#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/tuning/class_table.h"
#include "bench/tuning/list_simulation.h"
#include "bench/tuning/recording.h"
#include "bench/tuning/sizes.h"
#include "gtest/gtest.h"
#include "hakmem/superslab/size_classes.h"
#include "testing/op_stream/op_stream.h"

namespace hakmem::bench {
namespace {

using op_stream::OpKind;

std::vector<std::pair<uint32_t, uint32_t>> UsesOf(const Recording& recording) {
  std::vector<std::pair<uint32_t, uint32_t>> uses;
  for (const Use& use : recording.uses) uses.emplace_back(use.slot, use.size);
  return uses;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Recording, ResizingEndsABlockAndBeginsOne) {
  op_stream::Stream stream;
  stream.ops = {{OpKind::kMalloc, 0, {0, 10}}, {OpKind::kCalloc, 0, {1, 20, 3}}, {OpKind::kRealloc, 0, {0, 30}},
                {OpKind::kFree, 0, {1}},       {OpKind::kFree, 0, {1}},          {OpKind::kUsableSize, 0, {0}},
                {OpKind::kFreeSized, 0, {0}}};
  const Recording recording = FromStream("r", stream);
  EXPECT_EQ(UsesOf(recording), (std::vector<std::pair<uint32_t, uint32_t>>{
                                   {0, 10}, {1, 60}, {0, Use::kEnd}, {0, 30}, {1, Use::kEnd}, {0, Use::kEnd}}));
  EXPECT_EQ(recording.slots, 2u);
}

TEST(Recording, ABlockHandedOverLivesOn) {
  op_stream::Stream stream;
  stream.header.threads = 2;
  stream.ops = {{OpKind::kMalloc, 0, {0, 10}},
                {OpKind::kHand, 0, {0, 1, 0}},
                {OpKind::kMalloc, 0, {0, 11}},
                {OpKind::kFree, 1, {0}}};
  EXPECT_EQ(UsesOf(FromStream("r", stream)),
            (std::vector<std::pair<uint32_t, uint32_t>>{{0, 10}, {1, 11}, {0, Use::kEnd}}));
}

TEST(Recording, RefusesWhatIsNone) {
  Recording recording;
  std::string fault;
  EXPECT_FALSE(ReadRecording("/no/where", &recording, &fault));
  EXPECT_NE(fault, "");
  EXPECT_FALSE(ReadRecording("hakmem/tiny/heap.h", &recording, &fault));
}

TEST(ClassTable, TheAllocatorsOwnIsOneOfThoseCompared) {
  EXPECT_TRUE(ClassTable::InUse().SameSizes(ClassTable::Stepped(16, 256, 8)));
  for (const uint32_t last : {128u, 512u, 2048u}) {
    for (const uint32_t a_doubling : {4u, 16u}) {
      const ClassTable table = ClassTable::Stepped(16, last, a_doubling);
      const std::vector<uint32_t>& sizes = table.sizes();
      EXPECT_TRUE(std::is_sorted(sizes.begin(), sizes.end()));
      EXPECT_EQ(std::adjacent_find(sizes.begin(), sizes.end()), sizes.end());
      EXPECT_EQ(sizes.back(), kMaxClassed);
    }
  }
}

TEST(ClassTable, ServesEverySizeWithTheSmallestClass) {
  const ClassTable table = ClassTable::InUse();
  for (uint32_t size = 1; size <= kMaxClassed; size += 7) {
    ASSERT_EQ(table.sizes()[table.ClassOf(size)], kSizeClasses[ClassOfSize(size)].block_size) << size;
  }
  EXPECT_EQ(table.ClassOf(static_cast<uint32_t>(kMaxClassed) + 1), table.sizes().size());
}

TEST(ClassTable, SpansAreThoseOfTheAllocator) {
  for (unsigned c = 1; c < kClasses; ++c) {
    if (!IsClass(c)) continue;
    const Span span = SpanFor(kSizeClasses[c].block_size, kSlabSize);
    EXPECT_EQ(span.bytes, kSizeClasses[c].span * kSlabSize) << c;
    EXPECT_EQ(span.capacity, kSizeClasses[c].capacity) << c;
  }
}

TEST(Sizes, WasteIsWeighedByTime) {
  // 17 bytes live for three calls in a block of 32, and 16 for one in one of 16: (15 * 3) of (32 * 3 + 16).
  Recording recording{"p", 2, {{0, 17}, {1, 16}, {1, Use::kEnd}, {0, Use::kEnd}}};
  const Sizes sizes = CountSizes(recording);
  EXPECT_EQ(sizes.by_size.at(17).alive, 3u);
  EXPECT_EQ(sizes.by_size.at(16).alive, 1u);
  EXPECT_DOUBLE_EQ(InnerWaste(sizes, ClassTable::InUse()), 45.0 / 112);
}

// `count` blocks of `size` bytes, then all freed, `times` times.
Recording Waves(uint32_t count, uint32_t size, int times) {
  Recording recording{"waves", count, {}};
  for (int i = 0; i < times; ++i) {
    for (uint32_t slot = 0; slot < count; ++slot) recording.uses.push_back({slot, size});
    for (uint32_t slot = 0; slot < count; ++slot) recording.uses.push_back({slot, Use::kEnd});
  }
  return recording;
}

TEST(Lists, WavesThatFitAreServedFromLists) {
  // 64 blocks of 1 KiB: 32 a list, four a page.
  const ListCosts costs = SimulateLists(Waves(64, 1024, 10), BoundsInUse(), kSlabInUse);
  EXPECT_EQ(costs.operations, 1280u);
  EXPECT_EQ(costs.refills, 16u);
  EXPECT_EQ(costs.given_back, 0u);
  EXPECT_EQ(costs.takeovers, 18u);
  EXPECT_EQ(costs.listed_bytes, 65536u);
  EXPECT_EQ(costs.slabs, 1u);
}

TEST(Lists, WithoutRoomEveryBlockGoesBack) {
  ListBounds bounds = BoundsInUse();
  bounds.list_blocks = 0;
  const ListCosts costs = SimulateLists(Waves(64, 1024, 10), bounds, kSlabInUse);
  EXPECT_EQ(costs.given_back, 640u);
  EXPECT_EQ(costs.takeovers, 0u);
  EXPECT_EQ(costs.slabs, 10u) << "each wave leaves its slab empty";
}

TEST(Lists, BatchesKeepWhatListsCannot) {
  ListBounds none = BoundsInUse();
  none.batch_bytes = none.all_batches_bytes = 0;
  const Recording waves = Waves(128, 1024, 10);
  EXPECT_EQ(SimulateLists(waves, BoundsInUse(), kSlabInUse).given_back, 0u);
  EXPECT_EQ(SimulateLists(waves, none, kSlabInUse).given_back, 10u * 96);
}

TEST(Lists, ALargeSlabStaysForOneBlock) {
  // 512 blocks of 1 KiB, all freed but the last: what stays resident is one slab of whatever size.
  Recording recording{"p", 512, {}};
  for (uint32_t slot = 0; slot < 512; ++slot) recording.uses.push_back({slot, 1024});
  for (uint32_t slot = 0; slot < 511; ++slot) recording.uses.push_back({slot, Use::kEnd});
  for (int i = 0; i < 10'000; ++i) recording.uses.push_back({0, Use::kEnd});
  ListBounds none = BoundsInUse();
  none.list_blocks = 0;
  const ListCosts small = SimulateLists(recording, none, 16 << 10);
  const ListCosts large = SimulateLists(recording, none, 512 << 10);
  EXPECT_NEAR(large.resident / large.asked, 16, 8);
  EXPECT_LT(small.resident / small.asked, 2);
}

TEST(Sources, TheBoundsSimulatedAreThoseInUse) {
  const ListBounds bounds = BoundsInUse();
  const std::string lists = Contents("hakmem/tiny/lists.cc");
  const auto says = [&lists](const char* name, size_t bytes) {
    return lists.find(absl::StrCat("constexpr size_t ", name, " = size_t{", bytes >> 10, "} << 10;")) !=
           std::string::npos;
  };
  EXPECT_TRUE(says("kListBytes", bounds.list_bytes));
  EXPECT_TRUE(says("kBatchBytes", bounds.batch_bytes));
  EXPECT_TRUE(says("kAllBatchesBytes", bounds.all_batches_bytes));
  EXPECT_NE(lists.find("constexpr size_t kMostExtraBytes = size_t{4} << 20;"), std::string::npos);
  EXPECT_NE(lists.find("constexpr uint8_t kMaxBatches = 8;"), std::string::npos);
  EXPECT_NE(Contents("hakmem/tiny/heap.h").find(absl::StrCat("kMaxListLength = ", bounds.list_blocks, ";")),
            std::string::npos);
}

// The comment above the class table, as the figures of today make it.
TEST(Sources, TheClassTableCarriesItsWaste) {
  const ClassTable table = ClassTable::InUse();
  std::string programs;
  double sum = 0;
  int count = 0;
  for (const char* name : {"cc1plus", "python3", "sqlite3"}) {
    Recording recording;
    std::string fault;
    ASSERT_TRUE(ReadRecording(absl::StrCat("bench/recordings/", name, ".hkos"), &recording, &fault)) << fault;
    const double waste = 100 * InnerWaste(CountSizes(recording), table);
    absl::StrAppend(&programs, "//   ", name, std::string(8 - std::string(name).size(), ' '),
                    absl::StrFormat("%5.1f\n", waste));
    sum += waste;
    ++count;
  }
  double tail = 0;
  double worst_tail = 0;
  int classes = 0;
  for (unsigned c = 1; c < kClasses; ++c) {
    if (!IsClass(c)) continue;
    ++classes;
    tail += kSizeClasses[c].tail_waste / 10.0;
    worst_tail = std::max(worst_tail, kSizeClasses[c].tail_waste / 10.0);
  }
  const std::string comment = absl::StrFormat(
      "// Waste inside blocks, in percent of the bytes in blocks, weighed by the time that they are alive, over "
      "recorded\n"
      "// programs (//bench:tune; a test derives these lines anew):\n"
      "%s"
      "//   mean    %5.1f\n"
      "// At worst: %.1f above 128 bytes. At the end of a span: %.1f at worst, %.1f in the mean of the %d classes.\n",
      programs, sum / count, 100 * table.WorstWaste(128), worst_tail, tail / classes, classes);
  EXPECT_NE(Contents("hakmem/superslab/size_classes.h").find(comment), std::string::npos)
      << "hakmem/superslab/size_classes.h has to say:\n"
      << comment;
}

}  // namespace
}  // namespace hakmem::bench
