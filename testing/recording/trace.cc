// Looks at recordings and makes new ones of them:
//
//     ./bazelw run //testing:trace -- COMMAND [FLAGS] FILE...
//
// Exit status: 0 done, 2 bad usage, 3 a file cannot be read, is damaged or cannot be written.
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fuzz/stream_limits.h"
#include "testing/op_stream/codec.h"
#include "testing/op_stream/text.h"
#include "testing/recording/edit.h"
#include "testing/recording/recording.h"
#include "testing/recording/summary.h"
#include "testing/support/callers_directory.h"

ABSL_FLAG(std::string, output, "", "all commands but show: the file that gets the result");
ABSL_FLAG(bool, salvage, false, "of a damaged file, take what stands before the damage");
ABSL_FLAG(bool, summary, false, "show: operations, sizes, threads and the live peak instead of each operation");
ABSL_FLAG(std::vector<std::string>, threads, {}, "filter: keep these threads, by their numbers: 0,3");
ABSL_FLAG(std::vector<std::string>, ops, {}, "filter: keep operations of these kinds: malloc,realloc");
ABSL_FLAG(uint64_t, min_size, 0, "filter: keep blocks of at least so many bytes");
ABSL_FLAG(uint64_t, max_size, UINT64_MAX, "filter: keep blocks of at most so many bytes");
ABSL_FLAG(uint64_t, from, 0, "show, cut, seed: the first operation, from 0");
ABSL_FLAG(uint64_t, to, UINT64_MAX, "show, cut, seed: the operation behind the last");
ABSL_FLAG(std::string, alive, "allocate",
          "cut: blocks that are alive where the piece begins: 'allocate' them first, or 'leave-out' them and what is "
          "done to them");
ABSL_FLAG(std::string, target, "threads", "seed: the fuzz target that gets it: one_thread, threads or differential");

namespace hakmem::recording {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitFile = 3;

struct Command {
  const char* name;
  std::set<std::string> flags;
  size_t most_files;
  const char* usage;
};

const Command kCommands[] = {
    {"show", {"summary", "from", "to"}, 1, "prints the operations as text, which can be read again; or a summary"},
    {"filter", {"threads", "ops", "min_size", "max_size", "output"}, 1, "keeps some threads, kinds or sizes"},
    {"cut", {"from", "to", "alive", "output"}, 1, "keeps a range of operations"},
    {"merge", {"output"}, 256, "puts several recordings side by side, each with threads of its own"},
    {"seed", {"from", "to", "target", "output"}, 1, "makes a piece a seed of a fuzz target"},
    {"convert", {"output"}, 1, "makes a stream of what HAKMEM_TRACE recorded"},
};

std::string Usage() {
  std::string text = "COMMAND [FLAGS] FILE...\n\nFILE is what HAKMEM_TRACE wrote, or a stream. Commands:\n";
  for (const Command& command : kCommands) {
    absl::StrAppend(&text, "  ", command.name, " ", std::string(8 - std::string(command.name).size(), ' '),
                    command.usage, "\n           flags: --", absl::StrJoin(command.flags, ", --"), "\n");
  }
  return text;
}

[[noreturn]] void UsageError(const std::string& message) {
  fprintf(stderr, "trace: %s; --help tells the usage\n", message.c_str());
  exit(kExitUsage);
}

// Flags of other commands would be passed over in silence.
void CheckFlags(const Command& command) {
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    const std::string flag_name(name);
    bool ours = false;
    for (const Command& each : kCommands) ours |= each.flags.count(flag_name) != 0;
    if (!ours || command.flags.count(flag_name) != 0 || flag->CurrentValue() == flag->DefaultValue()) continue;
    UsageError(absl::StrCat("--", name, " says nothing to ", command.name));
  }
}

Stream Load(const std::string& path) {
  Recording recording = LoadRecording(path);
  if (!recording.note.empty()) fprintf(stderr, "trace: %s: %s\n", path.c_str(), recording.note.c_str());
  if (recording.error.empty()) return std::move(recording.stream);
  fprintf(stderr, "trace: %s: %s\n", path.c_str(), recording.error.c_str());
  if (!recording.readable) exit(kExitFile);
  if (!absl::GetFlag(FLAGS_salvage)) {
    fprintf(stderr, "trace: --salvage takes the %zu operations before the damage\n", recording.stream.ops.size());
    exit(kExitFile);
  }
  return std::move(recording.stream);
}

void Save(std::string_view bytes) {
  const std::string path = absl::GetFlag(FLAGS_output);
  const std::string error = WriteFile(path, bytes);
  if (error.empty()) return;
  fprintf(stderr, "trace: %s: %s\n", path.c_str(), error.c_str());
  exit(kExitFile);
}

int Show(const Stream& stream) {
  if (absl::GetFlag(FLAGS_summary)) {
    printf("%s", ToText(Summarize(stream)).c_str());
    return 0;
  }
  // A line at a time: a recording's text is large.
  printf("%s", op_stream::ToText(Stream{stream.header, {}}).c_str());
  const size_t end = std::min<size_t>(absl::GetFlag(FLAGS_to), stream.ops.size());
  for (size_t i = absl::GetFlag(FLAGS_from); i < end; ++i) printf("%s\n", op_stream::ToText(stream.ops[i]).c_str());
  return 0;
}

FilterOptions FilterOfFlags() {
  FilterOptions options;
  for (const std::string& word : absl::GetFlag(FLAGS_threads)) {
    uint32_t thread = 0;
    if (!absl::SimpleAtoi(word, &thread)) UsageError(absl::StrCat("--threads: '", word, "' is no number"));
    options.threads.insert(thread);
  }
  for (const std::string& word : absl::GetFlag(FLAGS_ops)) {
    size_t kind = 0;
    while (kind < op_stream::kOpKinds && word != op_stream::RowOf(static_cast<OpKind>(kind)).name) ++kind;
    if (kind == op_stream::kOpKinds) UsageError(absl::StrCat("--ops: there is no operation '", word, "'"));
    options.kinds.insert(static_cast<OpKind>(kind));
  }
  options.least_size = absl::GetFlag(FLAGS_min_size);
  options.most_size = absl::GetFlag(FLAGS_max_size);
  if (options.least_size > options.most_size) UsageError("--min_size is greater than --max_size");
  return options;
}

Alive AliveOfFlag() {
  const std::string word = absl::GetFlag(FLAGS_alive);
  if (word == "allocate") return Alive::kAllocate;
  if (word == "leave-out") return Alive::kLeaveOut;
  UsageError(absl::StrCat("--alive=", word, " is neither allocate nor leave-out"));
}

op_stream::LooseLimits LimitsOfTarget() {
  const std::string target = absl::GetFlag(FLAGS_target);
  if (target == "one_thread") return fuzz::StreamLimits(1);
  if (target == "differential") return fuzz::StreamLimits(2);
  if (target == "threads") return fuzz::StreamLimits(4);
  UsageError(absl::StrCat("--target=", target, " takes no streams: one_thread, threads and differential do"));
}

void CheckRange(const Stream& stream) {
  if (absl::GetFlag(FLAGS_from) < absl::GetFlag(FLAGS_to) && absl::GetFlag(FLAGS_from) < stream.ops.size()) return;
  UsageError(absl::StrCat("there is no operation between --from and --to; the recording has ", stream.ops.size()));
}

int Run(const Command& command, const std::vector<std::string>& files) {
  const std::string name = command.name;
  std::vector<Stream> streams;
  for (const std::string& file : files) streams.push_back(Load(file));
  const Stream& stream = streams[0];
  const size_t from = absl::GetFlag(FLAGS_from);
  const size_t to = absl::GetFlag(FLAGS_to);
  if (name == "show") return Show(stream);
  Stream result;
  if (name == "filter") {
    result = Filter(stream, FilterOfFlags());
  } else if (name == "cut") {
    CheckRange(stream);
    result = Cut(stream, from, to, AliveOfFlag());
  } else if (name == "merge") {
    std::string error;
    result = Merge(streams, &error);
    if (!error.empty()) UsageError(error);
  } else if (name == "seed") {
    CheckRange(stream);
    result = FitSeed(stream, from, to, LimitsOfTarget());
    const size_t asked = std::min(to, stream.ops.size()) - from;
    if (result.ops.size() < asked) {
      fprintf(stderr, "trace: %zu of %zu operations are beyond what the target reads, and left out\n",
              asked - result.ops.size(), asked);
    }
  } else {
    result = stream;
  }
  Save(name == "seed" ? op_stream::EncodeLoose(result) : op_stream::EncodeFile(result));
  const uint32_t threads = result.header.threads;
  printf("%zu operations in %u thread%s\n", result.ops.size(), threads, threads == 1 ? "" : "s");
  return 0;
}

int Main(const std::vector<char*>& words) {
  if (words.size() < 2) UsageError("a command is missing");
  const Command* command = nullptr;
  for (const Command& each : kCommands) {
    if (words[1] == std::string(each.name)) command = &each;
  }
  if (command == nullptr) UsageError(absl::StrCat("there is no command '", words[1], "'"));
  const std::vector<std::string> files(words.begin() + 2, words.end());
  if (files.empty()) UsageError("no recording is named");
  if (files.size() > command->most_files) {
    UsageError(absl::StrCat(command->name, " takes one recording, ", files.size(), " given"));
  }
  CheckFlags(*command);
  if (command->flags.count("output") != 0 && absl::GetFlag(FLAGS_output).empty()) UsageError("--output is needed");
  test::EnterCallersDirectory();
  return Run(*command, files);
}

}  // namespace
}  // namespace hakmem::recording

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(hakmem::recording::Usage());
  return hakmem::recording::Main(absl::ParseCommandLine(argc, argv));
}
