// Turns the arguments that hakmem_fuzz_test gives into libFuzzer's.
//
// As a test: runs the seeds and ends. By `bazel run`: starts from the seeds, keeps what it finds in a directory of its
// own (FUZZ_CORPUS, or a fresh one under /tmp), and puts the input of a crash where the user stands.

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

std::string WorkDirectory() {
  if (const char* given = getenv("FUZZ_CORPUS"); given != nullptr) return given;
  std::string name = "/tmp/hakmem-fuzz-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) abort();
  return name;
}

bool TakePrefix(const std::string& text, const std::string& prefix, std::string* rest) {
  if (text.rfind(prefix, 0) != 0) return false;
  *rest = text.substr(prefix.size());
  return true;
}

std::string Absolute(const std::string& path) {
  char* real = realpath(path.c_str(), nullptr);
  std::string result = real == nullptr ? path : real;
  free(real);
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const char* const run_from = getenv("BUILD_WORKING_DIRECTORY");  // set by `bazel run` alone
  const bool as_test = run_from == nullptr && getenv("TEST_TMPDIR") != nullptr;
  static std::vector<std::string> words;
  words.push_back((*argv)[0]);
  std::string seeds;
  std::vector<std::string> given;
  for (int i = 1; i < *argc; ++i) {
    const std::string word = (*argv)[i];
    std::string rest;
    if (TakePrefix(word, "--seed_file=", &rest)) {
      if (as_test) {
        words.push_back(Absolute(rest));
      } else {
        seeds += (seeds.empty() ? "" : ",") + Absolute(rest);
      }
    } else if (TakePrefix(word, "--dictionary=", &rest)) {
      words.push_back("-dict=" + Absolute(rest));
    } else {
      given.push_back(word);
    }
  }
  if (!as_test) {
    if (run_from != nullptr) words.push_back("-artifact_prefix=" + std::string(run_from) + "/");
    if (!seeds.empty()) words.push_back("-seed_inputs=" + seeds);
    // Inputs are streams of decisions: a few KiB reach everything.
    words.push_back("-max_len=4096");
  }
  bool has_files = false;
  for (const std::string& word : given) has_files = has_files || word[0] != '-';
  if (!as_test && !has_files) words.push_back(WorkDirectory());
  words.insert(words.end(), given.begin(), given.end());

  static std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  *argc = static_cast<int>(words.size());
  *argv = pointers.data();
  return 0;
}
