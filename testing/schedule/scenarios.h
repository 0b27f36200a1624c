// The scenarios: what two or three threads do at once to a slab or two.
#ifndef TESTING_SCHEDULE_SCENARIOS_H_
#define TESTING_SCHEDULE_SCENARIOS_H_

#include <vector>

#include "testing/schedule/explore.h"
#include "testing/schedule/heap_model.h"

namespace hakmem::schedule {

struct NamedScenario {
  const char* name;
  MakeScenario make;
};

// Those of the protocols as they are.
const std::vector<NamedScenario>& Scenarios();

// A slab's owner drains it, another thread frees into it, and a third heap refills from `source`, which names the slab.
MakeScenario RefillFrom(Source source, OwnershipFault fault);

}  // namespace hakmem::schedule

#endif  // TESTING_SCHEDULE_SCENARIOS_H_
