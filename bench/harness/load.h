// The frame of every load: flags, proof of the allocator, clocks, report.
//
//   int main(int argc, char** argv) {
//     Load load("name", "What it does.", argc, argv);
//     ... check flags, prepare ...
//     load.Start();
//     const uint64_t operations = Work();
//     load.Finish(operations);
//   }
//
// The report is "key: value" lines on standard output, one measurement a line, for people and for //bench:compare.
#ifndef HAKMEM_BENCH_HARNESS_LOAD_H_
#define HAKMEM_BENCH_HARNESS_LOAD_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/harness/measure.h"

namespace hakmem::bench {

class Load {
 public:
  // Parses the flags and checks --expect; ends the program with kExitUsage or kExitAllocator where they fail.
  Load(const std::string& name, const std::string& usage, int argc, const char* const* argv);

  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // The words of the command line that are no flags.
  const std::vector<std::string>& words() const { return words_; }

  // Ends with a usage error when there are words: for the loads that take flags only.
  void RefuseWords() const;

  // Prints the allocator and starts the clocks. Peak memory counts from the start of the process.
  void Start();

  // Stops the clocks and prints the report. An operation is one call of malloc, realloc or free; loads that count
  // otherwise say so in their usage.
  void Finish(uint64_t operations);

  // Further lines of the report.
  void Print(const std::string& key, const std::string& value) const;
  void Print(const std::string& key, double value) const;

  double wall_seconds() const { return wall_seconds_; }

 private:
  std::string name_;
  std::vector<std::string> words_;
  double wall_start_ = 0;
  double wall_seconds_ = 0;
  CpuSeconds cpu_start_;
  int64_t faults_start_ = 0;
};

// Runs `work(index)` on `count` threads of their own and waits for all. Ends with kExitNoResource when a thread cannot
// be had.
void RunThreads(int count, const std::function<void(int)>& work);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_LOAD_H_
