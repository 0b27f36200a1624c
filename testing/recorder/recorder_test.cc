// Recordings of a small program (program.cc), however it ends: what it did is what the file says.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "testing/child/child.h"
#include "testing/recording/raw_file.h"

namespace hakmem::recording {
namespace {

using Kind = Event::Kind;
using testing::Outcome;
using testing::RunChild;
using Variables = std::vector<std::pair<std::string, std::string>>;

std::string* g_program = nullptr;

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest() {
    unlink(file_.c_str());
    EXPECT_TRUE(mkdir(directory_.c_str(), 0700) == 0 || errno == EEXIST);
  }

  Outcome Run(std::vector<std::string> arguments, Variables more = {}) {
    arguments.insert(arguments.begin(), *g_program);
    more.emplace_back("HAKMEM_TRACE", file_);
    return RunChild(arguments, more);
  }

  // What is in the file, which has to be sound.
  RawFile Read(const std::string& path) {
    const std::string bytes = Contents(path);
    EXPECT_TRUE(IsRawFile(bytes)) << path;
    RawFile file = ReadRawFile(bytes);
    EXPECT_TRUE(file.readable) << path;
    EXPECT_EQ(file.error, "") << path;
    EXPECT_EQ(file.oddities.lost, 0u) << path;
    EXPECT_EQ(file.oddities.seen_twice, 0u) << path;
    return file;
  }
  RawFile Read() { return Read(file_); }

  const std::string directory_ = absl::StrCat(::testing::TempDir(), "/recorder.", getpid());
  const std::string file_ = directory_ + "/trace";
};

// Sizes of the allocations, in order.
std::vector<uint64_t> Sizes(const RawFile& file) {
  std::vector<uint64_t> sizes;
  for (const Event& event : file.events) {
    if (event.kind == Kind::kGet) sizes.push_back(event.size);
  }
  return sizes;
}

// What program.cc's Allocate does when it counts from 1 to `last`.
std::vector<uint64_t> UpTo(uint64_t last) {
  std::vector<uint64_t> sizes;
  for (uint64_t i = 0; i < last; ++i) sizes.push_back(i % 2000 + 1);
  return sizes;
}

// As program.cc prints it.
std::string Line(const Event& event) {
  const char* name = op_stream::RowOf(event.op).name;
  switch (event.kind) {
    case Kind::kLift: return absl::StrCat("lift ", absl::Hex(event.block), " ", event.size, " 0");
    case Kind::kLower: return absl::StrCat("lower ", absl::Hex(event.block), " ", event.size, " 0");
    case Kind::kTrim: return absl::StrCat("trim 0 ", event.size, " 0");
    default: return absl::StrCat(name, " ", absl::Hex(event.block), " ", event.size, " ", event.alignment_log2);
  }
}

void ExpectCalls(const Outcome& outcome, const RawFile& file) {
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::vector<std::string> found;
  for (const Event& event : file.events) {
    if (event.kind == Kind::kNothing) continue;
    EXPECT_EQ(event.thread, 1u);
    std::string line = Line(event);
    // The names of the stream's operations stand with underscores where those of calls do, with hyphens elsewhere.
    for (char& c : line) c = c == '-' ? '_' : c;
    found.push_back(line);
  }
  const std::vector<std::string> printed = absl::StrSplit(outcome.out, '\n', absl::SkipEmpty());
  EXPECT_EQ(found, printed);
  EXPECT_EQ(file.oddities.failed, 2u);
  EXPECT_EQ(file.oddities.free_null, 1u);
  EXPECT_EQ(file.oddities.unknown_blocks, 0u);
}

TEST_F(RecorderTest, EveryCallIsFoundWithItsBlockAndSize) {
  const Outcome outcome = Run({"calls"});
  EXPECT_EQ(outcome.err, "");
  ExpectCalls(outcome, Read());
}

TEST_F(RecorderTest, BesideTheDebugRing) {
  const Outcome outcome = Run(
      {"calls"}, {{"HAKMEM_RING", "1000"}, {"HAKMEM_RING_FILE", directory_ + "/ring"}, {"HAKMEM_TINY_FAST_CAP", "0"}});
  EXPECT_EQ(outcome.err, "");
  ExpectCalls(outcome, Read());
  EXPECT_NE(Contents(directory_ + "/ring"), "");
}

TEST_F(RecorderTest, WithoutTheWindowAndWithoutLists) {
  const Outcome outcome = Run({"calls"}, {{"HAKMEM_WINDOW", "0"}, {"HAKMEM_TINY_FAST_CAP", "0"}});
  EXPECT_EQ(outcome.err, "");
  ExpectCalls(outcome, Read());
}

// Each block is got and given up in turn, whichever thread does it: the order between threads is right.
TEST_F(RecorderTest, BlocksOfThreadsThatHandThemOn) {
  const Outcome outcome = Run({"exchange"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const RawFile file = Read();
  std::map<uint64_t, uint32_t> live;
  std::map<uint32_t, uint64_t> gets;
  uint64_t handed_on = 0;
  for (const Event& event : file.events) {
    if (event.kind == Kind::kGet || event.kind == Kind::kLower) {
      ASSERT_TRUE(live.emplace(event.block, event.thread).second);
      if (event.kind == Kind::kGet) ++gets[event.thread];
    } else if (event.gives_up()) {
      const auto block = live.find(event.block);
      ASSERT_NE(block, live.end());
      handed_on += block->second != event.thread;
      live.erase(block);
    }
  }
  EXPECT_TRUE(live.empty());
  EXPECT_GT(handed_on, 1000u);
  ASSERT_EQ(gets.size(), 4u);
  for (const auto& [thread, count] : gets) EXPECT_EQ(count, 30000u) << thread;
}

TEST_F(RecorderTest, CompleteHoweverTheProgramEnds) {
  for (const auto& [how, signal] : std::map<std::string, int>{
           {"segv", SIGSEGV}, {"kill", SIGKILL}, {"abort", SIGABRT}, {"_exit", 0}, {"return", 0}}) {
    // Sanitizers have a handler of their own.
    const Outcome outcome =
        Run({"end", how},
            {{"ASAN_OPTIONS", "handle_segv=0"}, {"TSAN_OPTIONS", "handle_segv=0"}, {"UBSAN_OPTIONS", "handle_segv=0"}});
    EXPECT_EQ(outcome.signal(), signal) << how;
    EXPECT_EQ(Sizes(Read()), UpTo(10000)) << how;
  }
}

TEST_F(RecorderTest, CompleteWhereverTheProgramIsKilled) {
  const std::string progress = directory_ + "/progress";
  for (int i = 0; i < 10; ++i) {
    const int fd = open(progress.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    ASSERT_EQ(ftruncate(fd, 8), 0);
    auto* done = static_cast<std::atomic<uint64_t>*>(mmap(nullptr, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    close(fd);
    const pid_t child = fork();
    if (child == 0) {
      setenv("HAKMEM_TRACE", file_.c_str(), 1);
      execl(g_program->c_str(), g_program->c_str(), "endless", progress.c_str(), nullptr);
      _exit(127);
    }
    while (done->load(std::memory_order_acquire) < 1000) usleep(100);  // the child has come so far
    usleep(static_cast<useconds_t>(1000 + 777 * i));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    uint64_t calls = 0;
    for (const Event& event : Read().events) {
      if (event.kind == Kind::kNothing) continue;
      ++calls;
      ASSERT_EQ(event.gives_up(), calls % 2 == 0);
      if (!event.gives_up()) {
        ASSERT_EQ(event.size, (calls + 1) / 2 % 1000 + 1);
      }
    }
    const uint64_t reported = done->load(std::memory_order_acquire);  // as above
    EXPECT_GE(calls, reported);
    EXPECT_LE(calls, reported + 1);
    munmap(done, 8);
  }
}

uint64_t Count(const RawFile& file, Kind kind) {
  uint64_t count = 0;
  for (const Event& event : file.events) count += event.kind == kind;
  return count;
}

TEST_F(RecorderTest, ForkedChildIsNotRecordedInTheParentsFile) {
  for (const char* how : {"fork", "raw-fork"}) {
    const Outcome outcome = Run({how});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const RawFile file = Read();
    EXPECT_EQ(Sizes(file), UpTo(15)) << how;
    // Only the C library's fork is noticed.
    EXPECT_EQ(Count(file, Kind::kFork), how == std::string("fork") ? 1u : 0u);
  }
}

TEST_F(RecorderTest, EachProcessHasAFileOfItsOwn) {
  const Outcome outcome = RunChild({*g_program, "fork"}, {{"HAKMEM_TRACE", directory_ + "/of.%p"}});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string child = absl::StrCat(directory_, "/of.", absl::StripAsciiWhitespace(outcome.out));
  const RawFile file = Read(child);
  EXPECT_EQ(Sizes(file), (std::vector<uint64_t>{501, 502, 503, 504, 505, 506, 507}));
  EXPECT_NE(file.note, "");
}

TEST_F(RecorderTest, AFileThatCannotBeWrittenIsReportedAndTheProgramRuns) {
  for (const auto& [path, text] :
       std::map<std::string, std::string>{{directory_ + "/no/such", "no such file"},
                                          {directory_, "it is a directory"},
                                          {"/dev/null", "not a regular file"},
                                          {"/proc/version", ""},
                                          {std::string(5000, 'x'), "the name is too long"}}) {
    const Outcome outcome = RunChild({*g_program, "end", "return"}, {{"HAKMEM_TRACE", path}});
    EXPECT_EQ(outcome.exit_status(), 3) << path;
    EXPECT_TRUE(absl::StartsWith(outcome.err, "hakmem: HAKMEM_TRACE=")) << outcome.err;
    EXPECT_TRUE(absl::StrContains(outcome.err, "not recorded: ")) << outcome.err;
    EXPECT_TRUE(absl::StrContains(outcome.err, text)) << outcome.err;
  }
}

TEST_F(RecorderTest, AFullDiskEndsTheRecordingAndNotTheProgram) {
  const Outcome outcome = Run({"limit"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err,
            absl::StrCat("hakmem: HAKMEM_TRACE=", file_,
                         ": the recording ends here, the program goes on: the limit on the size of files is "
                         "reached\n"));
  const std::string bytes = Contents(file_);
  const RawFile file = ReadRawFile(bytes);
  EXPECT_NE(file.note, "");
  EXPECT_EQ(bytes.size(), 4u * 65536);
  const std::vector<uint64_t> sizes = Sizes(file);
  EXPECT_GT(sizes.size(), 10000u);
  EXPECT_EQ(sizes, UpTo(sizes.size()));
}

TEST_F(RecorderTest, TwoProcessesDoNotWriteToOneFile) {
  const int fd = open(file_.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(pwrite(fd, "precious", 8, 0), 8);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  const Outcome outcome = Run({"end", "return"});
  EXPECT_EQ(outcome.exit_status(), 3);
  EXPECT_TRUE(absl::StrContains(outcome.err, "another process records to it")) << outcome.err;
  EXPECT_EQ(Contents(file_), "precious");
  close(fd);
}

TEST_F(RecorderTest, AFormerRecordingIsReplaced) {
  EXPECT_EQ(Run({"end", "return"}).exit_status(), 3);
  EXPECT_EQ(Run({"few"}).status, 0);
  EXPECT_EQ(Sizes(Read()), (std::vector<uint64_t>{901, 902, 903}));
  EXPECT_EQ(Run({"exec"}).status, 0);
  EXPECT_EQ(Sizes(Read()), (std::vector<uint64_t>{901, 902, 903}));
}

TEST_F(RecorderTest, ProgramsMayCloseEverythingAndGoElsewhere) {
  ASSERT_EQ(chdir(directory_.c_str()), 0);
  const Outcome outcome = RunChild({*g_program, "daemon", directory_ + "/mine"}, {{"HAKMEM_TRACE", "trace"}});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(Contents(directory_ + "/mine"), "mine");
  EXPECT_EQ(Sizes(Read()), UpTo(40000));
}

// What threads call in destructors after their heap's end is theirs still, and threads share streams.
TEST_F(RecorderTest, TheLastCallsOfThreads) {
  EXPECT_EQ(Run({"thread-end"}).status, 0);
  const RawFile file = Read();
  std::map<uint32_t, std::multiset<uint64_t>> sizes;
  std::map<uint64_t, std::pair<uint32_t, uint64_t>> live;
  for (const Event& event : file.events) {
    if (event.kind == Kind::kGet) {
      sizes[event.thread].insert(event.size);
      live[event.block] = {event.thread, event.size};
    } else if (event.gives_up()) {
      ASSERT_TRUE(live.count(event.block));
      EXPECT_EQ(live[event.block].first, event.thread) << live[event.block].second;
      live.erase(event.block);
    }
  }
  EXPECT_TRUE(live.empty());
  EXPECT_EQ(sizes, (std::map<uint32_t, std::multiset<uint64_t>>{
                       {1, {1}}, {2, {66, 77, 88}}, {3, {66, 77, 88}}, {4, {66, 77, 88}}}));
  // The header and a chunk for each of the two threads that lived at the same time.
  EXPECT_EQ(Contents(file_).size(), 3u * 65536);
}

}  // namespace
}  // namespace hakmem::recording

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 2) return 2;
  // Absolute: a test changes the directory.
  hakmem::recording::g_program = new std::string(std::filesystem::absolute(argv[1]));
  return RUN_ALL_TESTS();
}
