// Command lines of the loads: abseil flags, with a message and an exit status of its own for every mistake.
//
// absl::ParseCommandLine ends the program with status 1 for a bad flag, and for --help as well. The loads promise
// status 2 for bad usage and 0 for help, so the words are matched with the registered flags here.
#ifndef HAKMEM_BENCH_HARNESS_FLAGS_H_
#define HAKMEM_BENCH_HARNESS_FLAGS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace hakmem::bench {

// Exit statuses of every load.
inline constexpr int kExitUsage = 2;       // a flag or argument is unknown, ill-formed or contradicts another
inline constexpr int kExitDamaged = 3;     // a block did not hold what was written to it
inline constexpr int kExitAllocator = 4;   // another allocator served the load than the one asked for
inline constexpr int kExitNoMemory = 5;    // malloc failed
inline constexpr int kExitNoResource = 6;  // the system refused something else: a thread, a process, a file

// Sets the flags that `argv` names and returns the other words in their order. Prints `usage` and the flags defined
// below bench/ and ends with status 0 for --help; ends with kExitUsage for a flag that is unknown or does not parse.
std::vector<std::string> ParseFlags(const std::string& usage, int argc, const char* const* argv);

// Prints "NAME: MESSAGE" with a hint at --help on standard error and ends with kExitUsage.
[[noreturn]] void UsageError(const std::string& message);

// Ends with a usage error naming --`name` unless least <= value <= most.
void CheckRange(const char* name, int64_t value, int64_t least, int64_t most);

// A number given as a positional argument, called `what` in the message of the usage error.
int64_t ParseNumber(const char* what, const std::string& text);

}  // namespace hakmem::bench

#endif  // HAKMEM_BENCH_HARNESS_FLAGS_H_
