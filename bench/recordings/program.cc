// What cc1plus.hkos was recorded of.
#include <map>
#include <string>
#include <vector>

template <int N>
struct Node {
  std::map<std::string, std::vector<int>> items;
  int Run(const std::string& key) {
    items[key].push_back(N);
    return static_cast<int>(items.size()) + Node<N - 1>().Run(key);
  }
};
template <>
struct Node<0> {
  int Run(const std::string&) { return 0; }
};
int main() { return Node<10>().Run("key") & 1; }
