// Every memory order of the shared words is needed: with any single one weakened by one step some scenario fails, and
// the page that lists them has a row for it. Exceptions would be listed here, and explained there.
//
// Usage: orders_test PAGE HEADER... (the headers whose orders are looked at)

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

std::string page;
std::vector<std::string> headers;

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

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

// Most weakenings show at once; only the others are worth the whole search.
constexpr Limits kFewPreemptions = {1, 1, 2000};

// The first scenario that fails, and how; "" when none does.
std::string Noticed(Recorder& recorder, const Limits& limits) {
  for (const NamedScenario& scenario : Scenarios()) {
    const Exploration exploration = Explore(scenario.make, limits, &recorder);
    if (exploration.failed) return std::string(scenario.name) + ": " + exploration.failure;
  }
  return "";
}

std::map<Site, SiteUse> AllSites() {
  Recorder recorder;
  for (const NamedScenario& scenario : Scenarios()) {
    const Exploration exploration = Explore(scenario.make, kFewPreemptions, &recorder);
    EXPECT_FALSE(exploration.failed) << Describe(exploration);
  }
  return recorder.sites();
}

TEST(Orders, WeakeningAnyOneIsNoticed) {
  const std::map<Site, SiteUse> sites = AllSites();
  const std::string text = TextOf(page);
  std::set<std::string> unnoticed;
  for (const auto& [site, use] : sites) {
    for (const std::memory_order weaker : OneStepWeaker(use.written, use.operation)) {
      Recorder recorder;
      recorder.Change(&site, weaker);
      const std::string label = Label(site, use.written, weaker, sites);
      std::string noticed = Noticed(recorder, kFewPreemptions);
      if (noticed.empty()) noticed = Noticed(recorder, {});
      printf("%-55s %s\n", label.c_str(), noticed.empty() ? "NOT NOTICED" : noticed.c_str());
      if (noticed.empty()) unnoticed.insert(label);
      EXPECT_NE(text.find("| " + label + " |"), std::string::npos) << page << " has no row for: " << label;
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
    const std::string code = std::regex_replace(TextOf(header), comment, "");
    const auto written = std::distance(std::sregex_iterator(code.begin(), code.end(), order), std::sregex_iterator());
    EXPECT_EQ(reached[BaseName(header)], written) << header;
  }
}

}  // namespace
}  // namespace hakmem::schedule

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc < 3) return 2;
  hakmem::schedule::page = argv[1];
  hakmem::schedule::headers.assign(argv + 2, argv + argc);
  return RUN_ALL_TESTS();
}
