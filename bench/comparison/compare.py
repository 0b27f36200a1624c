"""Runs loads on hakmem and its peers in turn and writes CSV, Markdown and one HTML page."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

import loads as loads_table
import page
import peers
import results as results_module
import runner as runner_module
import svg


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="compare", description="Runs loads on hakmem and its peers in turn (A B C B C A ...) and writes the raw figures "
        "as CSV, a table in Markdown, one self-contained HTML page, and its first picture as SVG.")
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hakmem", default="", help="the library of hakmem that is compared (default: the one built here)")
    parser.add_argument("--without_hakmem", action="store_true", help="compare the peers alone")
    parser.add_argument("--allow_debug", action="store_true", help="accept a library of hakmem that is no release build")
    parser.add_argument("--peers", default="debian",
                        help="comma-separated: glibc, jemalloc, mimalloc, tcmalloc, tbb, scudo; debian for all of them; "
                        "NAME=/path/to/lib.so for others")
    parser.add_argument("--loads", default="all", help="comma-separated names, 'larson*' for all that begin so; all")
    parser.add_argument("--list", action="store_true", help="print the loads and end")
    parser.add_argument("--quick", action="store_true", help="shorter loads and fewer runs: for a first impression")
    parser.add_argument("--runs", type=int, default=None, help="runs of each load on each allocator (default: 5, quick: 2)")
    parser.add_argument("--budget_minutes", type=float, default=None,
                        help="start no load that would not end within this time, by what it took in the round before; rounds "
                        "go over all loads, so each load gets about as many runs (default: no limit)")
    parser.add_argument("--timeout", type=int, default=None, help="seconds after which a run counts as failed (default: 300, quick: 60)")
    parser.add_argument("--output", default="", help="folder for the results (default: compare-DATE-TIME here)")
    parser.add_argument("--no_install", action="store_true", help="install nothing: leave out what is missing")
    parser.add_argument("further", nargs="*", metavar="NAME=/path/to/lib.so", help="further peers")
    options = parser.parse_args(arguments)
    for name in ("runs", "timeout", "budget_minutes"):
        given = getattr(options, name)
        if given is not None and not given > 0:
            parser.error("--%s has to be above 0" % name)
    try:
        options.chosen_loads = loads_table.choose(options.loads.split(","))
        options.chosen_peers = [] if options.list else peers.choose(
            [word for word in options.peers.split(",") if word] + options.further, not options.no_install)
    except ValueError as error:
        parser.error(str(error))
    return options


def hakmem_version(bench, library):
    """What the library says about itself, by the proof of a load; ('', reason) when it is not hakmem."""
    import subprocess
    done = subprocess.run([os.path.join(bench, "larson", "larson"), "--expect=hakmem", "--seconds=0.05"],
                          env=dict(os.environ, LD_PRELOAD=library), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return "", (done.stderr.strip() or "status %d" % done.returncode)
    return runner_module.parse_report(done.stdout)["allocator"].split(" in /")[0], ""


class Progress:
    """One line on a terminal, a line for each load and round elsewhere; what is left is told by what the same loads took."""

    def __init__(self, loads, allocators, runs, minutes, clock=time.monotonic):
        self.loads = loads
        self.runs = runs
        self.steps = len(loads) * allocators * runs
        self.allocators = allocators
        self.done = 0
        self.clock = clock
        self.start = clock()
        self.deadline = self.start + 60 * minutes if minutes else None
        self.took = {}  # load -> seconds of all allocators in the last round
        self.terminal = sys.stdout.isatty()

    def seconds_left(self, load, number):
        """About how long from this load of this round to the end, or None while too little is known."""
        at = self.loads.index(load)
        rest = self.loads[at:] + self.loads * (self.runs - number)
        if not self.took:
            return None
        mean = sum(self.took.values()) / len(self.took)
        seconds = sum(self.took.get(each.name, mean) for each in rest)
        if self.deadline is not None:
            seconds = min(seconds, self.deadline - self.clock())
        return max(seconds, 0)

    def fits(self, load):
        """Whether this load ends in time, by what it took before; in the first round, whether there is time at all."""
        return self.deadline is None or self.clock() + self.took.get(load.name, 0) <= self.deadline

    def show(self, load, allocator, number):
        left = self.seconds_left(load, number)
        run = "run %d" % number if number else "not counted"
        text = "[%d/%d] %s on %s, %s%s" % (self.done + 1, self.steps, load.name, allocator, run,
                                           "" if left is None else ", about %s left" % self._time(left))
        if self.terminal:
            print("\r\033[K" + text, end="", flush=True)
        elif self.done % self.allocators == 0:
            print(text, flush=True)

    @staticmethod
    def _time(seconds):
        return "%d min" % round(seconds / 60) if seconds >= 90 else "%d s" % round(seconds)

    def step(self, count=1):
        self.done += count

    def end(self):
        if self.terminal:
            print("\r\033[K", end="", flush=True)


def main(arguments):
    options = parse(arguments)
    if options.list:
        for load in options.chosen_loads:
            print("%-18s %s" % (load.name, load.stresses))
        return 0
    allocators = list(options.chosen_peers)
    version = ""
    if not options.without_hakmem:
        if not os.path.isfile(options.hakmem):
            print("compare: there is no library '%s'; name one with --hakmem=PATH" % options.hakmem, file=sys.stderr)
            return 2
        version, reason = hakmem_version(options.bench, os.path.abspath(options.hakmem))
        if reason:
            print("compare: %s is not hakmem: %s" % (options.hakmem, reason), file=sys.stderr)
            return 4
        if "(release)" not in version and not options.allow_debug:
            print("compare: %s is '%s', no release build; build with --config=release or say --allow_debug" %
                  (options.hakmem, version), file=sys.stderr)
            return 2
    if not allocators:
        print("compare: no peer is left", file=sys.stderr)
        return 2

    output = os.path.abspath(options.output or time.strftime("compare-%Y%m%d-%H%M%S"))
    os.makedirs(output, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix="compare-")
    try:
        if not options.without_hakmem:
            # A copy: a build during the comparison would otherwise change the library between two runs.
            library = os.path.join(scratch, "libhakmem.so")
            shutil.copy(options.hakmem, library)
            allocators.insert(0, peers.Allocator("hakmem", library))
        return compare(options, allocators, version, scratch, output)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace(path, text):
    """Writes a file whole or not at all: an interruption leaves the former one."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def rounds(loads, allocators, runs, minutes, runner, results, write):
    """All loads once, then all of them again, so that an end at any time leaves runs of everything; saved as it goes."""
    ready = []
    for load in loads:
        reason = runner.prepare(load)
        if reason:
            print("%s is left out: %s" % (load.name, reason), file=sys.stderr)
        else:
            ready.append(load)
    progress = Progress(ready, len(allocators), runs, minutes)
    failed = set()
    for number in range(1, runs + 1):
        late = []
        for at, load in enumerate(ready):
            # Everyone is first once, and of each round's loads of about as many: who follows whom matters to the caches and
            # to the kernel's free pages.
            first = (number - 1 + at) % len(allocators)
            if not progress.fits(load):
                late.append(load.name)
                progress.step(len(allocators))
                continue
            if number == 1 and not load.lasts:
                # What is cold, files and the machine's memory, is paid for by a run that does not count. It is nothing to a
                # load of minutes.
                progress.show(load, allocators[first - 1].name, 0)
                runner.run(load, allocators[first - 1])
            start = progress.clock()
            for allocator in allocators[first:] + allocators[:first]:
                if (load.name, allocator.name) not in failed:
                    progress.show(load, allocator.name, number)
                    run = runner.run(load, allocator)
                    results.add(load, allocator, run)
                    if run.failure:
                        failed.add((load.name, allocator.name))
                        progress.end()
                        print("%s on %s: %s" % (allocator.name, load.name, run.failure), file=sys.stderr)
                progress.step()
            progress.took[load.name] = progress.clock() - start
            write()
        progress.end()
        if late:
            print("round %d: no time for %s" % (number, ", ".join(late)), flush=True)
        if len(late) == len(ready):
            break


def compare(options, allocators, version, scratch, output):
    results = results_module.Results(allocators)
    runner = runner_module.Runner(options.bench, os.path.abspath(options.hakmem), scratch, options.quick,
                                  options.timeout or (60 if options.quick else 300))
    runs = options.runs or (2 if options.quick else 5)
    about = [
        results_module.machine(),
        "hakmem: " + version if version else "without hakmem",
        "peers: " + ", ".join("%s (%s)" % (each.name, each.library or "the C library") for each in options.chosen_peers),
        "up to %d runs of each, in turn; %s loads; %s" % (runs, "short" if options.quick else "full",
                                                    time.strftime("%Y-%m-%d %H:%M %Z")),
    ]

    def write():
        versions = ["%s is %s" % (name, version) for name, version in results.versions().items()]
        lines = about + (["served by: " + "; ".join(versions)] if versions else [])
        results.write_csv(os.path.join(output, "results.csv"))
        replace(os.path.join(output, "table.md"), results_module.markdown(results, lines))
        replace(os.path.join(output, "index.html"), page.html_page(results, lines, loads_table))
        picture = page.field(results)
        if picture:
            replace(os.path.join(output, "field.svg"), svg.standalone(picture))

    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        rounds(options.chosen_loads, allocators, runs, options.budget_minutes or 0, runner, results, write)
    except KeyboardInterrupt:
        print("\nstopped; what was measured is kept", file=sys.stderr)
    write()
    for key, title in ((runner_module.CPU, "CPU time"), (runner_module.PEAK, "peak memory")):
        means = ["%s %.2f" % (name, results.geometric_mean(name, key)[0])
                 for name in results.allocators if results.geometric_mean(name, key)[0]]
        print("%s, geometric mean relative to the best peer of each load: %s" % (title, ", ".join(means)))
    print("written: %s/{%s}" % (output, ",".join(sorted(os.listdir(output)))))
    return 1 if any(allocator == results_module.HAKMEM for _, allocator, _ in results.failures) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
