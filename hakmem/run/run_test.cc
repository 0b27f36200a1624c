// The tool as a whole: what it starts really runs on hakmem, and every way to fail has its message and status.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hakmem/run/program_files.h"

namespace hakmem::run {
namespace {

std::string* g_tool = nullptr;

struct Outcome {
  int status = -1;  // of wait(2)
  std::string out;
  std::string err;
};

using Variables = std::vector<std::pair<std::string, std::string>>;

class RunTest : public ::testing::Test {
 protected:
  Outcome Run(const std::vector<std::string>& arguments, const Variables& variables = {}) {
    const std::string out = files_.directory() + "/out";
    const std::string err = files_.directory() + "/err";
    const pid_t child = fork();
    if (child == 0) {
      for (const char* name : {"BUILD_WORKING_DIRECTORY", "BAZELW_WORKING_DIRECTORY", "LD_PRELOAD", "HAKMEM_STATS"}) {
        unsetenv(name);
      }
      for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
      dup2(open(out.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDOUT_FILENO);
      dup2(open(err.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDERR_FILENO);
      std::vector<char*> command = {g_tool->data()};
      for (const std::string& argument : arguments) command.push_back(const_cast<char*>(argument.c_str()));
      command.push_back(nullptr);
      execv(command[0], command.data());
      _exit(99);
    }
    Outcome outcome;
    EXPECT_EQ(waitpid(child, &outcome.status, 0), child);
    outcome.out = ReadFile(out);
    outcome.err = ReadFile(err);
    return outcome;
  }

  void ExpectFailure(const std::vector<std::string>& arguments, int status, const std::string& message) {
    const Outcome outcome = Run(arguments);
    EXPECT_TRUE(WIFEXITED(outcome.status));
    EXPECT_EQ(WEXITSTATUS(outcome.status), status);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "hakmem run: " + message + "\n");
  }

  static std::string ReadFile(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  ProgramFiles files_;
};

TEST_F(RunTest, ProgramHasTheLibrary) {
  const Outcome outcome = Run({"cat", "/proc/self/maps"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("/libhakmem.so\n"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.err, "");
}

TEST_F(RunTest, StatsProveThatHakmemServed) {
  const std::vector<std::string> program = {"bash", "-c", "echo served"};
  for (std::vector<std::string> arguments : {std::vector<std::string>{"--stats"}, {"--stats", "--"}}) {
    arguments.insert(arguments.end(), program.begin(), program.end());
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.out, "served\n");
    EXPECT_NE(outcome.err.find("hakmem: statistics of process "), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(Run(program).err, "");
}

TEST_F(RunTest, TraceRecordsTheProgram) {
  const std::string trace = files_.directory() + "/trace";
  const Outcome outcome = Run({"--trace=" + trace, "/bin/echo", "x"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(ReadFile(trace).substr(0, 8), "HAKTRACE");
}

TEST_F(RunTest, ExitStatusPassesThrough) {
  EXPECT_EQ(WEXITSTATUS(Run({"true"}).status), 0);
  EXPECT_EQ(WEXITSTATUS(Run({"sh", "-c", "exit 42"}).status), 42);
  EXPECT_EQ(WEXITSTATUS(Run({files_.Write("text", "exit 43\n")}).status), 43);
  EXPECT_EQ(WEXITSTATUS(Run({files_.Write("script", "#!/bin/sh\nexit $1\n"), "44"}).status), 44);
}

TEST_F(RunTest, SignalsPassThrough) {
  const Outcome outcome = Run({"sh", "-c", "kill -TERM $$"});
  ASSERT_TRUE(WIFSIGNALED(outcome.status));
  EXPECT_EQ(WTERMSIG(outcome.status), SIGTERM);
}

TEST_F(RunTest, FormerPreloadStays) {
  const Outcome outcome = Run({"printenv", "LD_PRELOAD"}, {{"LD_PRELOAD", "libm.so.6"}});
  EXPECT_EQ(outcome.status, 0);
  ASSERT_GE(outcome.out.size(), 25u);
  EXPECT_EQ(outcome.out[0], '/');
  EXPECT_EQ(outcome.out.substr(outcome.out.size() - 24), "/libhakmem.so:libm.so.6\n");
}

TEST_F(RunTest, RunsWhereItWasCalled) {
  char here[PATH_MAX];
  ASSERT_NE(realpath(files_.directory().c_str(), here), nullptr);
  EXPECT_EQ(Run({"pwd", "-P"}, {{"BUILD_WORKING_DIRECTORY", here}}).out, std::string(here) + "\n");
  EXPECT_EQ(Run({"pwd", "-P"}, {{"BUILD_WORKING_DIRECTORY", "/"}, {"BAZELW_WORKING_DIRECTORY", here}}).out,
            std::string(here) + "\n");
  files_.Write("here.sh", "#!/bin/sh\necho \"$BUILD_WORKING_DIRECTORY\" \"$PWD\"\n");
  EXPECT_EQ(Run({"./here.sh"}, {{"BUILD_WORKING_DIRECTORY", here}}).out, " " + std::string(here) + "\n");
  const Outcome gone = Run({"pwd"}, {{"BUILD_WORKING_DIRECTORY", std::string(here) + "/gone"}});
  EXPECT_EQ(WEXITSTATUS(gone.status), 125);
  EXPECT_EQ(gone.err, "hakmem run: cannot go back to the caller's directory: No such file or directory\n");
}

TEST_F(RunTest, Help) {
  const Outcome outcome = Run({"--help"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out.substr(0, 11), "usage: run ");
  EXPECT_EQ(outcome.err, "");
}

TEST_F(RunTest, Misuse) {
  ExpectFailure({}, 125, "no program to run (--help tells how)");
  ExpectFailure({"--stat", "ls"}, 125, "unknown flag --stat (--help lists the flags)");
}

// A copy of the tool, which looks for the library where itself is.
TEST_F(RunTest, TheLibraryHasToBeBesideIt) {
  const std::string built = *g_tool;
  const std::string content = ReadFile(built);
  for (const char* name : {"/alone", "/a b"}) ASSERT_EQ(mkdir((files_.directory() + name).c_str(), 0755), 0);
  for (const char* name : {"/alone/bin", "/a b/bin"}) ASSERT_EQ(mkdir((files_.directory() + name).c_str(), 0755), 0);
  *g_tool = files_.Write("alone/bin/run", content);
  ExpectFailure({"true"}, 125, "libhakmem.so is not where the build puts it");
  *g_tool = files_.Write("a b/bin/run", content);
  char library[PATH_MAX];
  ASSERT_NE(realpath(files_.Write("a b/libhakmem.so", "").c_str(), library), nullptr);
  ExpectFailure({"true"}, 125,
                std::string(library) + " cannot be preloaded: LD_PRELOAD has no way to write a space or a colon");
  *g_tool = built;
}

TEST_F(RunTest, NotFound) {
  ExpectFailure({"no-such-program"}, 127, "no-such-program: no such program in PATH");
  ExpectFailure({"/no/such/program"}, 127, "/no/such/program: No such file or directory");
}

TEST_F(RunTest, CannotRun) {
  const std::string plain = files_.Write("plain", "exit 0\n", 0644);
  ExpectFailure({plain}, 126, plain + " is not executable: Permission denied");
  const std::string fixed = files_.Write("static", ElfImage(""));
  ExpectFailure({fixed}, 126, fixed + " is statically linked: no library can be preloaded into it");
  const std::string privileged = files_.Write("privileged", ElfImage(kGlibcLoader), 04755);
  ExpectFailure({privileged}, 126, privileged + " is set-uid: the system ignores LD_PRELOAD for it");
}

// What looks right but the system refuses: here an ELF file without anything to load.
TEST_F(RunTest, SystemsRefusalIsTold) {
  const std::string path = files_.Write("hollow", ElfImage("/no/such/loader"));
  ExpectFailure({path}, 127, path + ": No such file or directory");
}

}  // namespace
}  // namespace hakmem::run

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  char resolved[PATH_MAX];
  // The name in the runfiles, not what it links to: the library is found from there.
  if (argc != 2 || getcwd(resolved, sizeof(resolved)) == nullptr) return 2;
  std::string tool = std::string(resolved) + "/" + argv[1];
  hakmem::run::g_tool = &tool;
  return RUN_ALL_TESTS();
}
