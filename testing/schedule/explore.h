// Every execution of a scenario, up to a bound on preemptions and on loads that see old stores.
#ifndef TESTING_SCHEDULE_EXPLORE_H_
#define TESTING_SCHEDULE_EXPLORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "testing/schedule/execution.h"

namespace hakmem::schedule {

// A few threads and what has to hold in the end. Made anew for each execution; members are atomics and plain data of
// atomic.h.
class Scenario {
 public:
  virtual ~Scenario() = default;
  virtual std::vector<std::function<void()>> Threads() = 0;
  // After the threads' end. "" when all is well.
  virtual std::string Check() = 0;
};
using MakeScenario = std::function<std::unique_ptr<Scenario>()>;

struct Exploration {
  bool failed = false;
  bool complete = false;  // every execution within the limits was seen
  uint64_t executions = 0;
  std::string failure;             // the first one
  std::vector<std::string> steps;  // of it
};

// Stops at the first failure, or after `most` executions.
Exploration Explore(const MakeScenario& make, const Limits& limits, Orders* orders = nullptr,
                    uint64_t most = 10'000'000);

// The steps and the failure, for people.
std::string Describe(const Exploration& exploration);

// For scenarios: ends the execution as failed when `condition` does not hold.
inline void Expect(bool condition, const char* why) {
  if (!condition) Execution::Current().FailInThread(why);
}

}  // namespace hakmem::schedule

#endif  // TESTING_SCHEDULE_EXPLORE_H_
