"""A large C++ source for the compilers: templates, containers, strings, closures and many functions."""

_PROLOGUE = """
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct Fibonacci { static constexpr unsigned long value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value; };
template <> struct Fibonacci<1> { static constexpr unsigned long value = 1; };
template <> struct Fibonacci<0> { static constexpr unsigned long value = 0; };
template <int N> struct Tag { int payload[N + 1]; bool operator<(const Tag& o) const { return payload[0] < o.payload[0]; } };
"""

_UNIT = """
namespace unit{n} {{
struct Record{n} {{ std::string name; std::vector<Tag<{n}>> tags; std::optional<double> weight; }};
using Value{n} = std::variant<int, std::string, Record{n}, Tag<{n}>>;
class Table{n} {{
 public:
  void Add(const std::string& key, Value{n} value) {{ rows_[key].push_back(std::move(value)); }}
  std::size_t Count(std::function<bool(const Value{n}&)> wanted) const {{
    return std::accumulate(rows_.begin(), rows_.end(), std::size_t{{0}}, [&](std::size_t sum, const auto& row) {{
      return sum + std::count_if(row.second.begin(), row.second.end(), wanted);
    }});
  }}
  std::string Show() const {{
    std::ostringstream out;
    for (const auto& [key, values] : rows_) {{
      out << key << ':';
      for (const auto& value : values) {{
        out << std::visit([](const auto& v) -> std::string {{
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, int>) return std::to_string(v);
          else if constexpr (std::is_same_v<T, std::string>) return v;
          else if constexpr (std::is_same_v<T, Record{n}>) return v.name;
          else return std::to_string(v.payload[{n} / 2]);
        }}, value);
      }}
    }}
    return out.str();
  }}
 private:
  std::map<std::string, std::vector<Value{n}>> rows_;
}};
unsigned long Work(std::vector<std::tuple<int, std::string, std::set<Tag<{n}>>>> input) {{
  Table{n} table;
  std::sort(input.begin(), input.end());
  for (auto& [number, text, tags] : input) {{
    table.Add(text, number);
    table.Add(text + "x", Record{n}{{text, {{tags.begin(), tags.end()}}, number * 0.5}});
  }}
  switch (input.size() % 7) {{
    case 0: return table.Count([](const Value{n}& v) {{ return v.index() == 0; }});
    case 1: return table.Show().size() * {n};
    case 2: return Fibonacci<{n} % 60 + 20>::value;
    default: return std::hash<std::string>()(table.Show());
  }}
}}
}}  // namespace unit{n}
"""


def generate(units):
    return _PROLOGUE + ''.join(_UNIT.format(n=n) for n in range(units))
