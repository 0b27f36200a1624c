#include "hakmem/diag/ring.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/config/options.h"
#include "hakmem/platform/os.h"

namespace hakmem::ring {
namespace {

constexpr uint64_t kCapacity = 16;
std::atomic<bool> has_memory{true};

void* AllocateZeroed(size_t size, size_t alignment) {
  if (!has_memory.load()) return nullptr;
  void* p = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  memset(p, 0, size);
  return p;
}

std::vector<Record> AllRecords() {
  std::vector<Record> records;
  Visit({nullptr,
         [](const Record& record, void* context) {
           static_cast<std::vector<Record>*>(context)->push_back(record);
           return true;
         },
         &records});
  return records;
}

// Records whose value is at least `least`, and below `least` + 1000000: those
// of one test.
std::vector<Record> RecordsOf(uint64_t least) {
  std::vector<Record> records;
  for (const Record& r : AllRecords()) {
    if (r.value >= least && r.value < least + 1000000) records.push_back(r);
  }
  return records;
}

const void* Address(uint64_t n) { return reinterpret_cast<const void*>(n); }

TEST(DumpFileNameTest, IsThatOfTheProcess) {
  const std::string process = std::to_string(getpid());
  char name[64];
  EXPECT_EQ(DumpFileName(name, sizeof(name)), "hakmem-ring." + process);
  g_options.ring_file = "/a/%p/b%q%p%";
  EXPECT_EQ(DumpFileName(name, sizeof(name)), "/a/" + process + "/b%q" + process + "%");
  g_options.ring_file = "";
  EXPECT_EQ(DumpFileName(name, sizeof(name)), "hakmem-ring." + process);
  g_options.ring_file = nullptr;
}

// The first test: the recorder cannot be turned off again.
TEST(RingTest, IsOffUntilStarted) {
  Note(Event::kMap, Address(1), 1);
  EXPECT_TRUE(AllRecords().empty());
  EXPECT_FALSE(Dump(STDERR_FILENO));
  EXPECT_FALSE(DumpToFile());
  Start(kCapacity - 3, AllocateZeroed);
  EXPECT_TRUE(AllRecords().empty());
}

TEST(RingTest, KeepsWhatIsNoted) {
  const uint64_t before = os::NowNs();
  Write(Event::kMalloc, Address(0x1230), Address(0x1000), 7, 42, 1000000, Address(0xabc));
  const std::vector<Record> records = RecordsOf(1000000);
  ASSERT_EQ(records.size(), 1u);
  const Record& r = records[0];
  EXPECT_EQ(r.event, static_cast<uint8_t>(Event::kMalloc));
  EXPECT_EQ(r.pointer, 0x1230u);
  EXPECT_EQ(r.slab, 0x1000u);
  EXPECT_EQ(r.size_class, 7);
  EXPECT_EQ(r.owner, 42u);
  EXPECT_EQ(r.caller, 0xabcu);
  EXPECT_EQ(r.thread, static_cast<uint32_t>(os::ThreadId()));
  EXPECT_GE(r.time_ns, before);
  EXPECT_LE(r.time_ns, os::NowNs());
}

TEST(RingTest, BeginsWithTheStartOfTheThread) {
  std::thread([] { Note(Event::kMap, Address(1), 1500000); }).join();
  std::vector<Record> own;
  for (const Record& r : AllRecords()) {
    if (r.thread == RecordsOf(1500000).at(0).thread) own.push_back(r);
  }
  ASSERT_EQ(own.size(), 2u);
  EXPECT_EQ(own[0].event, static_cast<uint8_t>(Event::kThreadStart));
}

TEST(RingTest, OverwritesTheOldest) {
  for (uint64_t i = 0; i < 3 * kCapacity; ++i) Note(Event::kMap, Address(i + 1), 2000000 + i);
  const std::vector<Record> records = RecordsOf(2000000);
  ASSERT_EQ(records.size(), kCapacity);
  for (uint64_t i = 0; i < kCapacity; ++i) {
    EXPECT_EQ(records[i].value, 2000000 + 2 * kCapacity + i);
    if (i > 0) EXPECT_EQ(records[i].sequence, records[i - 1].sequence + 1);
  }
}

TEST(RingTest, AThreadTakesOverTheRingThatWasLeftLongestAgo) {
  std::atomic<int> turn{0};
  auto in_turn = [&](int mine, uint64_t value) {
    Note(Event::kMap, Address(1), value);
    ++turn;
    while (turn.load() != mine) std::this_thread::yield();
    EndThread();
    ++turn;
  };
  std::thread first(in_turn, 2, 3000000);
  std::thread second(in_turn, 3, 3000001);
  first.join();
  second.join();
  // What the threads that are gone wrote is still there, with their ids.
  const std::vector<Record> old = RecordsOf(3000000);
  ASSERT_EQ(old.size(), 2u);
  EXPECT_NE(old[0].thread, old[1].thread);
  // The next thread writes over what the one that ended first has left.
  std::thread([] {
    for (uint64_t i = 0; i < kCapacity; ++i) Note(Event::kUnmap, Address(1), 4000000 + i);
    EndThread();
  }).join();
  const std::vector<Record> kept = RecordsOf(3000000);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].value, 3000001u);
}

// Each record's words derive from its value, so that a record of two events
// would show.
TEST(RingTest, AReaderNeverSeesHalfARecord) {
  constexpr int kWriters = 3;
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&] {
      for (uint64_t i = 5000000; !done.load(std::memory_order_relaxed); i = i == 5999999 ? 5000000 : i + 1) {  // a flag
        Write(Event::kFree, Address(i * 3), Address(i * 5), i % 251, static_cast<uint32_t>(i * 7), i, Address(i * 11));
      }
      EndThread();
    });
  }
  constexpr size_t kEnough = 100;
  size_t seen = 0;
  const uint64_t until = os::NowMs() + 300;
  while (os::NowMs() < until || seen <= kEnough) {  // a busy machine may need longer for so many
    for (const Record& r : RecordsOf(5000000)) {
      ++seen;
      ASSERT_EQ(r.pointer, r.value * 3);
      ASSERT_EQ(r.slab, r.value * 5);
      ASSERT_EQ(r.size_class, r.value % 251);
      ASSERT_EQ(r.owner, static_cast<uint32_t>(r.value * 7));
      ASSERT_EQ(r.caller, r.value * 11);
    }
  }
  done.store(true);
  for (std::thread& writer : writers) writer.join();
}

TEST(RingTest, CountsWhatHadNoMemory) {
  const uint64_t before = Lost();
  has_memory.store(false);
  // More threads at once than there are rings.
  std::atomic<bool> done{false};
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      Note(Event::kMap, Address(1), 6000000);
      ++ready;
      while (!done.load()) std::this_thread::yield();
      EndThread();
    });
  }
  while (ready.load() != 16) std::this_thread::yield();
  has_memory.store(true);
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Lost() - before + RecordsOf(6000000).size(), 16u);
  EXPECT_GT(Lost(), before);
}

TEST(RingTest, AForkedChildGoesOnWithItsParentsEvents) {
  Note(Event::kMap, Address(1), 7000000);
  const pid_t child = fork();
  if (child == 0) {
    RepairAfterFork();
    Note(Event::kMap, Address(1), 7000001);
    const std::vector<Record> records = RecordsOf(7000000);
    const uint32_t me = static_cast<uint32_t>(getpid());
    const bool good = records.size() == 2 && records[0].thread != me && records[1].thread == me;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace hakmem::ring
