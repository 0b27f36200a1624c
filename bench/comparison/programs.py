"""Real programs as loads: what each needs, prepares and runs. The same work on every allocator, in a scratch directory."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

# Program -> the executable that has to be there and its Debian package.
NEEDS = {
    "python3": ("python3", "python3"),
    "sqlite3": ("sqlite3", "sqlite3"),
    "lua5.4": ("lua5.4", "lua5.4"),
    "perl": ("perl", "perl"),
    "git": ("git", "git"),
    "gcc": ("g++", "g++"),
    "clang": ("clang++-19", "clang-19"),
    "lld": ("ld.lld-19", "lld-19"),
    "redis": ("redis-server", "redis"),
}

PYTHON = """
import json, re, sys
for _ in range(int(sys.argv[1])):
    rows = [{"id": i, "name": "row %d" % i, "tags": ["t%d" % (i % 7), "u%d" % (i % 11)]} for i in range(30000)]
    text = json.dumps(rows)
    back = json.loads(text)
    words = re.findall(r"row (\\d+)", text)
    index = {}
    for row in back:
        for tag in row["tags"]:
            index.setdefault(tag, []).append(row["name"])
    joined = "".join(sorted(index["t3"]))
    objects = [object() for _ in range(200000)]
    if len(words) != 30000 or len(index) != 18 or not joined:
        sys.exit(1)
"""

SQL = """
create table item(id integer primary key, name text, price real);
insert into item select value, 'item ' || (value * 7919 % 100003), value * 0.37
  from (with recursive counter(value) as (select 1 union all select value + 1 from counter where value < 60000)
        select value from counter);
create index by_name on item(name);
create table total as select substr(name, 1, 7) as prefix, count(*) as n, sum(price) as s from item group by 1;
select count(*), sum(n) from total;
select count(*) from item a join item b on a.name = b.name where a.id < 20000;
update item set name = name || ' x' where id % 3 = 0;
delete from item where id % 5 = 0;
select group_concat(name) is not null from item;
drop table item;
drop table total;
"""

LUA = """
for _ = 1, tonumber(arg[1]) do
  local words = {}
  for i = 1, 150000 do words[i] = "word" .. (i * 7919 % 100003) end
  table.sort(words)
  local count = {}
  for _, word in ipairs(words) do
    local key = word:sub(1, 6)
    count[key] = (count[key] or 0) + 1
  end
  local cells = nil
  for i = 1, 400000 do cells = {next = cells, value = i} end
  local sum = 0
  while cells do sum = sum + cells.value; cells = cells.next end
  assert(sum == 400000 * 400001 / 2)
end
"""

PERL = """
for (1 .. $ARGV[0]) {
  my %count;
  my @lines = map { join " ", "line", $_, $_ * 7919 % 100003, "x" x ($_ % 50) } 1 .. 80000;
  for my $line (@lines) { $count{$_}++ for split / /, $line; }
  my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
  my %nested = map { $_ => { name => "n$_", list => [1 .. 5] } } 1 .. 40000;
  die unless @sorted > 80000 && $nested{7}{list}[4] == 5;
}
"""

CPLUSPLUS = """
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>
template <int N> struct Node {
  std::map<std::string, std::vector<std::variant<int, std::string, double>>> items;
  std::unordered_map<std::string, std::function<int(int)>> calls;
  int Run(const std::string& key) {
    items[key].push_back(N);
    calls[key] = [this](int x) { return x * N + static_cast<int>(items.size()); };
    std::sort(items[key].begin(), items[key].end(), [](const auto& a, const auto& b) { return a.index() < b.index(); });
    return calls[key](N) + Node<N - 1>().Run(key);
  }
};
template <> struct Node<0> { int Run(const std::string&) { return 0; } };
int main() { return std::regex_match("abc", std::regex("[a-z]+")) ? Node<40>().Run("key") & 1 : 2; }
"""


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)


def _quietly(command, **kwargs):
    """Runs a command of the preparation; its output appears when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
    if done.returncode != 0:
        raise RuntimeError("'%s' failed: %s" % (" ".join(command), done.stdout[-2000:].decode(errors="replace")))


def _end_group(process):
    """Ends a process and all that it has started; nothing to do when they have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_group(command, seconds, **kwargs):
    """Runs a command in a process group of its own; (status, output, errors). Past its time the whole group is ended: what a
    shell has started would go on otherwise, and disturb every run after it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               errors="replace", start_new_session=True, **kwargs)
    try:
        output, errors = process.communicate(timeout=seconds)
    except BaseException:
        _end_group(process)
        process.communicate()
        raise
    return process.returncode, output, errors


def _prepare_git(folder):
    """A repository of 400 commits over 300 files, made from one stream."""
    repository = os.path.join(folder, "repository")
    if os.path.isdir(repository):
        return
    stream = []
    for commit in range(400):
        stream.append("commit refs/heads/main\ncommitter A <a@example.org> %d +0000\n" % (1600000000 + commit * 60))
        message = "change %d\n" % commit
        stream.append("data %d\n%s" % (len(message), message))
        for touched in range(8):
            number = (commit * 37 + touched * 11) % 300
            text = "".join("%d %d line %d\n" % (number, (line * 7919 + commit * (line % 9 == 0)) % 10007, line)
                           for line in range(200))
            stream.append("M 100644 inline dir%d/file%d.txt\ndata %d\n%s\n" % (number % 20, number, len(text), text))
        stream.append("\n")
    _quietly(["git", "init", "-q", "-b", "main", repository])
    _quietly(["git", "-C", repository, "fast-import", "--quiet"], input="".join(stream).encode())


def _prepare_lld(folder):
    """Objects with many small functions and data, all of them kept by the link."""
    for number in range(24):
        path = os.path.join(folder, "part%d.o" % number)
        if os.path.exists(path):
            continue
        lines = []
        for function in range(4000):
            name = "f%d_%d" % (number, function)
            lines.append('.section .text.%s,"ax",@progbits\n.globl %s\n%s: call f%d_%d@PLT\nlea .L%s(%%rip), %%rax\nret\n'
                         '.section .rodata.str1.1,"aMS",@progbits,1\n.L%s: .asciz "text of %s"\n' %
                         (name, name, name, (number + 1) % 24, (function * 7) % 4000, name, name, name))
        _quietly(["clang-19", "-c", "-x", "assembler", "-", "-o", path], input="".join(lines).encode())


def prepare(name, folder):
    """Writes what the program needs; RuntimeError says what went wrong."""
    if name == "python3":
        _write(os.path.join(folder, "work.py"), PYTHON)
    elif name == "sqlite3":
        _write(os.path.join(folder, "work.sql"), SQL)
    elif name == "lua5.4":
        _write(os.path.join(folder, "work.lua"), LUA)
    elif name == "perl":
        _write(os.path.join(folder, "work.pl"), PERL)
    elif name == "git":
        _prepare_git(folder)
    elif name in ("gcc", "clang"):
        _write(os.path.join(folder, "work.cc"), CPLUSPLUS)
    elif name == "lld":
        _prepare_lld(folder)


def available(name):
    """'' when the program can be run, else what is missing."""
    program, package = NEEDS[name]
    if shutil.which(program) is None:
        return "%s (package %s) is not installed" % (program, package)
    if name == "lld" and os.uname().machine != "x86_64":
        return "its input is x86-64 assembly"
    if name == "lld" and shutil.which("clang-19") is None:
        return "clang-19 is not installed"
    return ""


def command(name, folder, repeat):
    """The command line and its additional environment."""
    inside = lambda file: os.path.join(folder, file)
    if name == "python3":
        return ["python3", inside("work.py"), repeat], {"PYTHONMALLOC": "malloc"}
    if name == "sqlite3":
        return ["sqlite3", ":memory:"] + ['.read "%s"' % inside("work.sql")] * int(repeat), {}
    if name == "lua5.4":
        return ["lua5.4", inside("work.lua"), repeat], {}
    if name == "perl":
        return ["perl", inside("work.pl"), repeat], {}
    if name == "git":
        script = "git log --stat --format=%H%s > /dev/null && git repack -adfq --threads=2 --depth=20 --window=10"
        return ["sh", "-c", "cd '%s' && %s" % (inside("repository"), " && ".join([script] * int(repeat)))], {}
    if name == "gcc":
        return ["g++", "-std=c++20", "-O1", "-c", inside("work.cc"), "-o", inside("work-gcc.o")], {}
    if name == "clang":
        return ["clang++-19", "-std=c++20", "-O1", "-c", inside("work.cc"), "-o", inside("work-clang.o")], {}
    if name == "lld":
        link = "ld.lld-19 --threads=2 -shared -o '%s' %s" % (
            inside("linked.so"), " ".join("'%s'" % inside("part%d.o" % number) for number in range(24)))
        return ["sh", "-c", " && ".join([link] * int(repeat))], {}
    raise KeyError(name)


def record(name, hakmem, folder):
    """Runs the program once on the library of hakmem, which records it; returns the recording of its busiest process."""
    recording = os.path.join(folder, "recording-" + name)
    if os.path.exists(recording):
        return recording
    prepare(name, folder)
    words, additional = command(name, folder, "1")
    _quietly(words, stdin=subprocess.DEVNULL,
             env=dict(os.environ, HAKMEM_TRACE=recording + ".%p", LD_PRELOAD=hakmem, **additional))
    files = [os.path.join(folder, file) for file in os.listdir(folder) if file.startswith("recording-%s." % name)]
    if not files:
        raise RuntimeError("nothing was recorded of %s" % name)
    os.rename(max(files, key=os.path.getsize), recording)
    for file in files:
        if os.path.exists(file):
            os.remove(file)
    return recording


def who_serves(name, library, folder):
    """The object to which the dynamic linker binds malloc of the program's executable, or '' when that cannot be seen."""
    executable = {"gcc": "g++", "clang": "clang++-19", "lld": "ld.lld-19", "redis": "redis-server"}.get(name, name)
    log = os.path.join(folder, "bindings")
    for old in [file for file in os.listdir(folder) if file.startswith("bindings")]:
        os.remove(os.path.join(folder, old))
    environment = dict(os.environ, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=log, LD_BIND_NOW="1")
    environment.pop("LD_PRELOAD", None)
    if library:
        environment["LD_PRELOAD"] = library
    argument = "-v" if name in ("lua5.4", "perl") else "--version"
    subprocess.run([executable, argument], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60, check=False)
    # Which object comes first in the search order is the same for every object of the process.
    for file in sorted(os.listdir(folder)):
        if not file.startswith("bindings"):
            continue
        with open(os.path.join(folder, file), errors="replace") as text:
            for line in text:
                found = re.search(r"binding file \S+ \[0\] to (\S+) \[0\]: normal symbol `malloc'", line)
                if found:
                    return found.group(1)
    return ""


def run_redis(measured, allocator, report, folder, repeat, prefix):
    """Server and its benchmark; only the server runs on the allocator. Returns (status, output)."""
    socket = os.path.join(folder, "redis.sock")
    if os.path.exists(socket):
        os.remove(socket)
    server = subprocess.Popen(
        prefix + [measured, "--preload=" + allocator.library, "--report=" + report, "--", "redis-server", "--port", "0",
                  "--unixsocket", socket, "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", folder],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        env=dict(os.environ, **allocator.environment))
    try:
        deadline = time.monotonic() + 20
        while not os.path.exists(socket):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server did not open its socket")
            time.sleep(0.02)
        for arguments in (["-t", "set,get,lpush,hset,sadd,zadd", "-n", str(40000 * int(repeat)), "-r", "100000", "-d", "200"],
                          ["-t", "lrange_100", "-n", str(4000 * int(repeat))]):
            subprocess.run(["redis-benchmark", "-s", socket, "-q", "-P", "16", "-c", "20"] + arguments, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=200)
        subprocess.run(["redis-cli", "-s", socket, "shutdown", "nosave"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False, timeout=60)
        output, _ = server.communicate(timeout=60)
    except BaseException as error:
        _end_group(server)
        output, _ = server.communicate()
        if not isinstance(error, (RuntimeError, subprocess.SubprocessError)):
            raise
        return 1, "%s\n%s" % (error, output)
    return server.returncode, output
