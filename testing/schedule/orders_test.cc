// Every memory order of the shared words is needed: with any single one weakened by one step some scenario fails. The
// exceptions are listed here, and explained in docs/concurrency.md.
//
// Usage: orders_test HEADER... (the headers whose orders are looked at)

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "gtest/gtest.h"
#include "testing/schedule/scenarios.h"

namespace hakmem::schedule {
namespace {

std::vector<std::string> headers;

// Weakenings that no scenario can notice.
const std::set<std::string>& NotObservable() {
  static const std::set<std::string> names = {};
  return names;
}

const char* NameOf(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed: return "relaxed";
    case std::memory_order_consume: return "consume";
    case std::memory_order_acquire: return "acquire";
    case std::memory_order_release: return "release";
    case std::memory_order_acq_rel: return "acq_rel";
    case std::memory_order_seq_cst: return "seq_cst";
  }
  return "?";
}

std::vector<std::memory_order> OneStepWeaker(std::memory_order order, Operation operation) {
  switch (order) {
    case std::memory_order_acquire:
    case std::memory_order_release: return {std::memory_order_relaxed};
    case std::memory_order_acq_rel: return {std::memory_order_acquire, std::memory_order_release};
    case std::memory_order_seq_cst:
      switch (operation) {
        case Operation::kLoad: return {std::memory_order_acquire};
        case Operation::kStore: return {std::memory_order_release};
        case Operation::kModify: return {std::memory_order_acq_rel};
      }
      break;
    default: break;
  }
  return {};
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "Push" of "PushResult hakmem::BasicRemoteWord<...>::Push(uint16_t, ...) [...]".
std::string FunctionName(const std::string& pretty) {
  const std::string head = pretty.substr(0, pretty.find('('));
  return head.substr(head.find_last_of(": ") + 1);
}

struct SiteUse {
  Operation operation;
  std::memory_order written;
};

// Notes every site; one of them may be given another order.
class Recorder : public Orders {
 public:
  std::memory_order Of(const Site& site, Operation operation, std::memory_order written) override {
    if (changed_ != nullptr && *changed_ == site) return order_;
    if (changed_ == nullptr && written != std::memory_order_relaxed) sites_.insert({site, {operation, written}});
    return written;
  }
  void Change(const Site* site, std::memory_order order) {
    changed_ = site;
    order_ = order;
  }
  const std::map<Site, SiteUse>& sites() const { return sites_; }

 private:
  std::map<Site, SiteUse> sites_;
  const Site* changed_ = nullptr;
  std::memory_order order_ = std::memory_order_relaxed;
};

// "file Function order -> weaker"; a function's second site of the same kind is numbered.
std::string Label(const Site& site, std::memory_order from, std::memory_order to,
                  const std::map<Site, SiteUse>& sites) {
  int number = 1;
  for (const auto& [other, use] : sites) {
    if (other < site && std::string(other.file) == site.file && std::string(other.function) == site.function) ++number;
  }
  std::string label = BaseName(site.file) + " " + FunctionName(site.function);
  if (number > 1) label += " " + std::to_string(number);
  return label + " " + NameOf(from) + " -> " + NameOf(to);
}

std::map<Site, SiteUse> AllSites() {
  Recorder recorder;
  for (const NamedScenario& scenario : Scenarios()) {
    const Exploration exploration = Explore(scenario.make, {}, &recorder);
    EXPECT_FALSE(exploration.failed) << Describe(exploration);
  }
  return recorder.sites();
}

TEST(Orders, WeakeningAnyOneIsNoticed) {
  const std::map<Site, SiteUse> sites = AllSites();
  std::set<std::string> unnoticed;
  for (const auto& [site, use] : sites) {
    for (const std::memory_order weaker : OneStepWeaker(use.written, use.operation)) {
      Recorder recorder;
      recorder.Change(&site, weaker);
      const std::string label = Label(site, use.written, weaker, sites);
      std::string noticed;
      for (const NamedScenario& scenario : Scenarios()) {
        const Exploration exploration = Explore(scenario.make, {}, &recorder);
        if (!exploration.failed) continue;
        noticed = std::string(scenario.name) + ": " + exploration.failure;
        break;
      }
      printf("%-55s %s\n", label.c_str(), noticed.empty() ? "NOT NOTICED" : noticed.c_str());
      if (noticed.empty()) unnoticed.insert(label);
    }
  }
  EXPECT_EQ(unnoticed, NotObservable());
}

// What the scenarios do not reach is not looked at above; so they have to reach all that the headers say.
TEST(Orders, EveryOrderOfTheHeadersIsReached) {
  std::map<std::string, int> reached;
  for (const auto& [site, use] : AllSites()) ++reached[BaseName(site.file)];
  ASSERT_FALSE(headers.empty());
  const std::regex comment("//.*");
  const std::regex order("memory_order_(acquire|release|acq_rel|seq_cst|consume)");
  for (const std::string& header : headers) {
    std::ifstream file(header);
    ASSERT_TRUE(file) << header;
    std::stringstream text;
    text << file.rdbuf();
    const std::string code = std::regex_replace(text.str(), comment, "");
    const auto written = std::distance(std::sregex_iterator(code.begin(), code.end(), order), std::sregex_iterator());
    EXPECT_EQ(reached[BaseName(header)], written) << header;
  }
}

}  // namespace
}  // namespace hakmem::schedule

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  hakmem::schedule::headers.assign(argv + 1, argv + argc);
  return RUN_ALL_TESTS();
}
