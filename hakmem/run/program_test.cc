#include "hakmem/run/program.h"

#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <initializer_list>

#include "gtest/gtest.h"
#include "hakmem/run/program_files.h"

namespace hakmem::run {
namespace {

class ProgramTest : public ::testing::Test {
 protected:
  void ExpectRuns(const std::string& path) {
    const Program checked = CheckProgram("PROGRAM", path);
    EXPECT_EQ(checked.status, 0) << checked.message;
    EXPECT_EQ(checked.message, "");
    EXPECT_EQ(checked.path, path);
  }

  void ExpectRefused(const std::string& path, int status, const std::string& message) {
    const Program checked = CheckProgram("PROGRAM", path);
    EXPECT_EQ(checked.status, status);
    EXPECT_EQ(checked.message, message);
  }

  ProgramFiles files_;
};

TEST_F(ProgramTest, DynamicProgramRuns) {
  ExpectRuns(files_.Write("dynamic", ElfImage(kGlibcLoader)));
  ExpectRuns(files_.Write("fixed", ElfImage(kGlibcLoader, [](Elf64_Ehdr& h) { h.e_type = ET_EXEC; })));
  ExpectRuns("/bin/ls");
}

TEST_F(ProgramTest, Missing) {
  ExpectRefused(files_.directory() + "/none", 127, "PROGRAM: No such file or directory");
  ExpectRefused(files_.Write("file", "") + "/below", 127, "PROGRAM: Not a directory");
}

TEST_F(ProgramTest, Directory) { ExpectRefused(files_.directory(), 126, "PROGRAM is a directory"); }

TEST_F(ProgramTest, Device) { ExpectRefused("/dev/null", 126, "PROGRAM is not a regular file"); }

TEST_F(ProgramTest, NotExecutable) {
  ExpectRefused(files_.Write("plain", ElfImage(kGlibcLoader), 0644), 126,
                "PROGRAM is not executable: Permission denied");
}

TEST_F(ProgramTest, Static) {
  ExpectRefused(files_.Write("static", ElfImage("")), 126,
                "PROGRAM is statically linked: no library can be preloaded into it");
}

TEST_F(ProgramTest, OtherWordSize) {
  ExpectRefused(files_.Write("small", ElfImage("", [](Elf64_Ehdr& h) { h.e_ident[EI_CLASS] = ELFCLASS32; })), 126,
                "PROGRAM is a 32-bit program, libhakmem.so is 64-bit");
}

TEST_F(ProgramTest, OtherMachine) {
  ExpectRefused(files_.Write("mips", ElfImage(kGlibcLoader, [](Elf64_Ehdr& h) { h.e_machine = EM_MIPS; })), 126,
                "PROGRAM was built for another kind of machine");
  ExpectRefused(files_.Write("big", ElfImage(kGlibcLoader, [](Elf64_Ehdr& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; })),
                126, "PROGRAM was built for another kind of machine");
}

TEST_F(ProgramTest, OtherLibraryC) {
  ExpectRefused(files_.Write("musl", ElfImage("/lib/ld-musl-x86_64.so.1")), 126,
                "PROGRAM runs on the C library musl, libhakmem.so needs glibc");
}

TEST_F(ProgramTest, ObjectFile) {
  ExpectRefused(files_.Write("object", ElfImage("", [](Elf64_Ehdr& h) { h.e_type = ET_REL; })), 126,
                "PROGRAM is an ELF file but no program");
}

TEST_F(ProgramTest, DamagedFile) {
  const std::string whole = ElfImage(kGlibcLoader);
  ExpectRefused(files_.Write("head", whole.substr(0, 20)), 126, "PROGRAM is a damaged ELF file");
  ExpectRefused(files_.Write("segments", whole.substr(0, sizeof(Elf64_Ehdr) + 8)), 126,
                "PROGRAM is a damaged ELF file");
  ExpectRefused(files_.Write("entry", ElfImage(kGlibcLoader, [](Elf64_Ehdr& h) { h.e_phentsize = 8; })), 126,
                "PROGRAM is a damaged ELF file");
}

TEST_F(ProgramTest, SetUidAndSetGid) {
  ExpectRefused(files_.Write("uid", ElfImage(kGlibcLoader), 04755), 126,
                "PROGRAM is set-uid: the system ignores LD_PRELOAD for it");
  ExpectRefused(files_.Write("gid", ElfImage(kGlibcLoader), 02755), 126,
                "PROGRAM is set-gid: the system ignores LD_PRELOAD for it");
  // Mandatory locking, not privileges.
  ExpectRuns(files_.Write("locking", ElfImage(kGlibcLoader), 02745));
}

TEST_F(ProgramTest, FileCapabilities) {
  const std::string path = files_.Write("capable", ElfImage(kGlibcLoader));
  // VFS_CAP_REVISION_2, CAP_NET_RAW permitted (capabilities(7)).
  const unsigned char attribute[20] = {0, 0, 0, 2, 0, 0x20};
  if (setxattr(path.c_str(), "security.capability", attribute, sizeof(attribute), 0) != 0) {
    ASSERT_TRUE(errno == EPERM || errno == ENOTSUP) << strerror(errno);
    GTEST_SKIP() << "only root may set file capabilities, and not in every file system: " << strerror(errno);
  }
  ExpectRefused(path, 126, "PROGRAM has file capabilities: the system ignores LD_PRELOAD for it");
}

TEST_F(ProgramTest, ScriptRuns) {
  ExpectRuns(files_.Write("script", "#!/bin/sh\nexit 3\n"));
  ExpectRuns(files_.Write("spaces", "#! \t/bin/sh -e \nexit 3\n"));
  EXPECT_FALSE(CheckProgram("PROGRAM", files_.directory() + "/script").by_shell);
}

TEST_F(ProgramTest, ScriptsOwnPrivilegeBitsMeanNothing) {
  ExpectRuns(files_.Write("script", "#!/bin/sh\nexit 3\n", 04755));
}

TEST_F(ProgramTest, ScriptOfAProgramThatCannotRun) {
  const std::string interpreter = files_.Write("static", ElfImage(""));
  const std::string inner = files_.Write("inner", "#!" + interpreter + " -x\n");
  ExpectRefused(
      inner, 126,
      interpreter + " (the interpreter of PROGRAM) is statically linked: no library can be preloaded into it");
  ExpectRefused(files_.Write("outer", "#!" + inner + "\n"), 126,
                interpreter + " (the interpreter of " + inner +
                    " (the interpreter of PROGRAM)) is statically linked: no library can be preloaded into it");
}

TEST_F(ProgramTest, ScriptWithoutItsInterpreter) {
  ExpectRefused(files_.Write("gone", "#!/no/such/thing\n"), 127,
                "/no/such/thing (the interpreter of PROGRAM): No such file or directory");
  ExpectRefused(files_.Write("empty", "#!  \nls\n"), 126, "PROGRAM names no interpreter behind #!");
}

TEST_F(ProgramTest, ScriptOfItself) {
  const std::string path = files_.directory() + "/self";
  const Program checked = CheckProgram("self", files_.Write("self", "#!" + path + "\n"));
  EXPECT_EQ(checked.status, 126);
  EXPECT_NE(checked.message.find("has too many interpreters one upon the other"), std::string::npos) << checked.message;
}

TEST_F(ProgramTest, TextIsForTheShell) {
  EXPECT_TRUE(CheckProgram("PROGRAM", files_.Write("text", "exit 3\n")).by_shell);
  EXPECT_TRUE(CheckProgram("PROGRAM", files_.Write("nothing", "")).by_shell);
  ExpectRefused(files_.Write("data", std::string("\1\0\2\0", 4)), 126, "PROGRAM is neither a program nor a script");
}

TEST_F(ProgramTest, NameWithASlashIsAFile) {
  EXPECT_EQ(FindProgram("./some/file", nullptr).path, "./some/file");
  EXPECT_EQ(FindProgram("/some/file", "/bin").path, "/some/file");
}

TEST_F(ProgramTest, SearchInOrder) {
  const std::string first = files_.directory();
  const ProgramFiles other;
  files_.Write("both", "");
  other.Write("both", "");
  const std::string only = other.Write("only", "");
  const std::string path = "/no/such/place:" + first + ":" + other.directory();
  EXPECT_EQ(FindProgram("both", path.c_str()).path, first + "/both");
  EXPECT_EQ(FindProgram("only", path.c_str()).path, only);
}

TEST_F(ProgramTest, SearchWithoutPath) { EXPECT_EQ(FindProgram("ls", nullptr).path, "/bin/ls"); }

TEST_F(ProgramTest, EmptyDirectoryIsTheCurrentOne) {
  files_.Write("here", "");
  ASSERT_EQ(chdir(files_.directory().c_str()), 0);
  for (const char* path : {"", ":/no/such/place", "/no/such/place:", "/no::/such"}) {
    EXPECT_EQ(FindProgram("here", path).path, "./here") << path;
  }
  ASSERT_EQ(chdir("/"), 0);
}

TEST_F(ProgramTest, SearchFindsNothing) {
  const Program found = FindProgram("no-such-program", files_.directory().c_str());
  EXPECT_EQ(found.status, 127);
  EXPECT_EQ(found.message, "no-such-program: no such program in PATH");
  EXPECT_EQ(FindProgram("", "/bin").status, 127);
  EXPECT_EQ(FindProgram("", "/bin").message, "the program's name is empty");
}

TEST_F(ProgramTest, SearchFindsOnlyWhatCannotBeExecuted) {
  const std::string plain = files_.Write("plain", "", 0644);
  const Program found = FindProgram("plain", files_.directory().c_str());
  EXPECT_EQ(found.status, 126);
  EXPECT_EQ(found.message, "plain: " + plain + " is not executable");
  // A later one that can be executed is taken.
  const ProgramFiles other;
  const std::string good = other.Write("plain", "");
  EXPECT_EQ(FindProgram("plain", (files_.directory() + ":" + other.directory()).c_str()).path, good);
}

}  // namespace
}  // namespace hakmem::run
