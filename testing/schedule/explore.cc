#include "testing/schedule/explore.h"

namespace hakmem::schedule {
namespace {

// Goes through the tree of choices depth first: repeats the choices of the execution before, but for the last one that
// can be made differently.
class DepthFirst : public Chooser {
 public:
  int Choose(int count) override {
    if (at_ == path_.size()) path_.push_back({0, count});
    return path_[at_++].taken;
  }
  // False when all choices were made.
  bool Next() {
    path_.resize(at_);
    at_ = 0;
    while (!path_.empty() && path_.back().taken + 1 == path_.back().count) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }
  void Again() { at_ = 0; }

 private:
  struct Choice {
    int taken;
    int count;
  };
  std::vector<Choice> path_;
  size_t at_ = 0;
};

struct Outcome {
  bool failed;
  std::string failure;
  std::vector<std::string> steps;
};

Outcome RunOnce(const MakeScenario& make, const Limits& limits, Chooser& chooser, Orders* orders, bool record) {
  Execution execution(limits, chooser, orders);
  if (record) execution.RecordSteps();
  std::unique_ptr<Scenario> scenario = make();
  const std::vector<std::function<void()>> threads = scenario->Threads();
  execution.Run(threads);
  if (!execution.failed()) {
    if (const std::string wrong = scenario->Check(); !wrong.empty()) execution.Fail(wrong);
  }
  return {execution.failed(), execution.failure(), execution.steps()};
}

}  // namespace

Exploration Explore(const MakeScenario& make, const Limits& limits, Orders* orders, uint64_t most) {
  Exploration result;
  DepthFirst choices;
  do {
    ++result.executions;
    const Outcome outcome = RunOnce(make, limits, choices, orders, false);
    if (outcome.failed) {
      choices.Again();
      Outcome again = RunOnce(make, limits, choices, orders, true);
      result.failed = true;
      result.failure = outcome.failure;
      result.steps = std::move(again.steps);
      return result;
    }
    if (result.executions == most) return result;
  } while (choices.Next());
  result.complete = true;
  return result;
}

std::string Describe(const Exploration& exploration) {
  std::string text = exploration.failure + " (execution " + std::to_string(exploration.executions) + ")\n";
  for (const std::string& step : exploration.steps) text += "  " + step + "\n";
  return text;
}

}  // namespace hakmem::schedule
