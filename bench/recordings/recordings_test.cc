#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "bench/replay/program.h"
#include "bench/replay/runner.h"
#include "gtest/gtest.h"
#include "testing/op_stream/allocator.h"
#include "testing/op_stream/op_stream.h"
#include "testing/recording/recording.h"
#include "testing/recording/summary.h"

namespace hakmem::bench {
namespace {

std::vector<std::string>* g_files = nullptr;

TEST(RecordingsTest, ThereAreThree) { EXPECT_EQ(g_files->size(), 3u); }

TEST(RecordingsTest, EachIsWhole) {
  for (const std::string& file : *g_files) {
    const recording::Recording recording = recording::LoadRecording(file);
    EXPECT_EQ(recording.error, "") << file;
    EXPECT_EQ(op_stream::FindError(recording.stream), "") << file;
    const recording::Summary summary = recording::Summarize(recording.stream);
    EXPECT_EQ(summary.left_out, 0u) << file;
    EXPECT_GT(recording.stream.ops.size(), 100'000u) << file;
    EXPECT_GT(summary.peak_bytes, 1u << 20) << file;
    EXPECT_EQ(summary.peak_bytes, recording.stream.header.max_live) << file;
  }
}

TEST(RecordingsTest, EachRunsOnHakmem) {
  for (const std::string& file : *g_files) {
    const recording::Recording recording = recording::LoadRecording(file);
    const int program_file = memfd_create("program", MFD_CLOEXEC);
    ASSERT_EQ(CompileProgram(recording.stream, 0, program_file), "") << file;
    const Program program(program_file);
    // A fault ends the test, with a message that names it.
    Runner(program, op_stream::HakAllocator()).Run({.check = true, .samples = nullptr});
    close(program_file);
  }
}

}  // namespace
}  // namespace hakmem::bench

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  hakmem::bench::g_files = new std::vector<std::string>(argv + 1, argv + argc);
  return RUN_ALL_TESTS();
}
