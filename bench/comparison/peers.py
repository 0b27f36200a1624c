"""The allocators that are compared: hakmem, those that Debian packages, and further ones given by path."""

import glob
import os
import shutil
import subprocess
import sys


class Allocator:
    """A name and the library to preload; no library means the C library's own malloc."""

    def __init__(self, name, library="", package=""):
        self.name = name
        self.library = library
        self.package = package
        self.environment = needs(library)

    @property
    def proof(self):
        """What the loads are to expect: the loads check it against the object that defines malloc."""
        if self.name == "hakmem":
            return "hakmem"
        return os.path.basename(self.library) if self.library else "libc.so"


# Google's tcmalloc alone defines this. Its caches for each processor need the kernel's restartable sequences for themselves,
# which glibc from 2.35 on takes for every thread; without them it falls back to slower caches for each thread.
GOOGLE_TCMALLOC = b"MallocExtension_Internal_GetNumericProperty"


def needs(library):
    """Environment variables with which the library works as its makers mean it to."""
    if not library or not os.path.isfile(library):
        return {}
    with open(library, "rb") as file:
        return {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"} if GOOGLE_TCMALLOC in file.read() else {}


# Name, pattern of the library's path, Debian package. The last match counts, so the newest version where several are.
DEBIAN = [
    ("glibc", "", ""),
    ("jemalloc", "/usr/lib/*-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("mimalloc", "/usr/lib/*-linux-gnu/libmimalloc.so.2*", "libmimalloc2.0"),
    ("tcmalloc", "/usr/lib/*-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("tbb", "/usr/lib/*-linux-gnu/libtbbmalloc_proxy.so.2", "libtbbmalloc2"),
    ("scudo", "/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.scudo_standalone-%s.so" % os.uname().machine,
     "libclang-rt-19-dev"),
]


def find_library(pattern):
    matches = sorted(glob.glob(pattern))
    return matches[-1] if matches else ""


def install(packages):
    """Installs Debian packages, saying so; False with a message where that cannot be done."""
    if not packages:
        return True
    print("installing %s" % " ".join(packages), flush=True)
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends"] + packages
    if shutil.which("apt-get") is None:
        print("no apt-get here: %s is left out" % " ".join(packages), file=sys.stderr)
        return False
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            print("not root, and no sudo: run '%s' yourself" % " ".join(command), file=sys.stderr)
            return False
        command.insert(0, "sudo")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    if done.returncode != 0:
        print("'%s' failed:\n%s" % (" ".join(command), done.stdout[-2000:]), file=sys.stderr)
        return False
    return True


def choose(words, may_install):
    """The allocators that `words` name: names of DEBIAN, 'debian' for all of them, or NAME=/path/to/lib.so.

    Raises ValueError with a message for people when a word names nothing.
    """
    known = {name: (pattern, package) for name, pattern, package in DEBIAN}
    wanted = []
    for word in words:
        if word == "debian":
            wanted.extend((name, "") for name, _, _ in DEBIAN)
        elif "=" in word:
            name, path = word.split("=", 1)
            if not name or name == "hakmem" or name in known:
                raise ValueError("'%s': a peer given by path needs a name of its own" % word)
            if not os.path.isfile(path):
                raise ValueError("'%s': there is no file %s" % (word, path))
            wanted.append((name, os.path.abspath(path)))
        elif word in known:
            wanted.append((word, ""))
        else:
            raise ValueError("'%s' is no peer; known are %s, debian for all of them, and NAME=/path/to/lib.so" %
                             (word, ", ".join(known)))
    missing = [known[name][1] for name, path in wanted if not path and known[name][0] and not find_library(known[name][0])]
    if missing and may_install:
        install(sorted(set(missing)))
    chosen = []
    for name, path in wanted:
        if name in [allocator.name for allocator in chosen]:
            continue
        if path:
            chosen.append(Allocator(name, path))
            continue
        pattern, package = known[name]
        library = find_library(pattern) if pattern else ""
        if pattern and not library:
            print("%s is left out: %s (package %s) is not installed" % (name, pattern, package), file=sys.stderr)
            continue
        chosen.append(Allocator(name, library, package))
    return chosen
