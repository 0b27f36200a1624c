"""All figures of a comparison, and what follows from them: medians, ratios to the best peer, geometric means."""

import csv
import json
import math
import os
import statistics

from runner import CPU, PEAK

HAKMEM = "hakmem"


class Results:

    def __init__(self, allocators):
        self.allocators = [allocator.name for allocator in allocators]
        self.loads = []
        self.runs = {}  # (load, allocator) -> list of dictionaries
        self.failures = []  # (load, allocator, reason), first of each kind
        self.paths = {}  # (allocator, family, size) -> list of ns

    def add(self, load, allocator, run):
        if load not in self.loads:
            self.loads.append(load)
        if run.failure:
            if not any(each[:2] == (load.name, allocator.name) for each in self.failures):
                self.failures.append((load.name, allocator.name, run.failure))
            return
        self.runs.setdefault((load.name, allocator.name), []).append(run.figures)
        if "paths" in run.figures:
            self._add_paths(allocator.name, run.figures["paths"])

    def _add_paths(self, allocator, path):
        with open(path) as file:
            for benchmark in json.load(file)["benchmarks"]:
                family, size = benchmark["name"].split("/")
                cost = 1e9 / benchmark["items_per_second"]
                self.paths.setdefault((allocator, family, int(size)), []).append(cost)

    def median(self, load, allocator, key):
        """The median over the runs, or None without any."""
        values = [figures[key] for figures in self.runs.get((load, allocator), []) if isinstance(figures.get(key), float)]
        return statistics.median(values) if values else None

    def spread(self, load, allocator, key):
        """Half of the range of the runs relative to their median."""
        values = [figures[key] for figures in self.runs.get((load, allocator), []) if isinstance(figures.get(key), float)]
        middle = statistics.median(values) if values else 0
        return (max(values) - min(values)) / 2 / middle if middle else 0

    def rows(self, key):
        """The loads of the table that have this figure: those whose memory tells nothing are no rows of PEAK."""
        rows = []
        for load in self.loads:
            if load.picture or (key == PEAK and not load.memory):
                continue
            if any(self.median(load.name, allocator, key) is not None for allocator in self.allocators):
                rows.append(load)
        return rows

    def best_peer(self, load, key):
        """(name, median) of the peer with the least median, or (None, None)."""
        best = (None, None)
        for allocator in self.allocators:
            value = None if allocator == HAKMEM else self.median(load, allocator, key)
            if value and (best[1] is None or value < best[1]):
                best = (allocator, value)
        return best

    def ratio(self, load, allocator, key):
        """Median relative to the best peer's, or None."""
        value = self.median(load, allocator, key)
        _, best = self.best_peer(load, key)
        return value / best if value is not None and best else None

    def geometric_mean(self, allocator, key):
        """(mean of the ratios, number of loads), over the loads that this allocator finished; (None, 0) without any."""
        ratios = [self.ratio(load.name, allocator, key) for load in self.rows(key)]
        ratios = [ratio for ratio in ratios if ratio]
        return (math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios)), len(ratios)) if ratios else (None, 0)

    def versions(self):
        """{allocator: what it says about itself}, from the proofs of the loads."""
        versions = {}
        for (_, allocator), runs in self.runs.items():
            word, found, _ = str(runs[0].get("allocator", "")).partition(" in /")
            if found and allocator not in versions:
                versions[allocator] = word
        return versions

    def write_csv(self, path):
        """Every figure of every run, one a line; whole or not at all."""
        with open(path + ".new", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["load", "allocator", "run", "figure", "value"])
            for (load, allocator), runs in self.runs.items():
                for number, figures in enumerate(runs, 1):
                    for key, value in figures.items():
                        if key != "paths":
                            writer.writerow([load, allocator, number, key, value])
            for (allocator, family, size), costs in self.paths.items():
                for number, cost in enumerate(costs, 1):
                    writer.writerow(["paths/%s/%d" % (family, size), allocator, number, "cpu_ns_per_pair", "%.4f" % cost])
        os.replace(path + ".new", path)


def machine():
    """Lines that say where the figures come from."""
    model, memory = "unknown processor", ""
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as file:
        memory = "%.0f GiB" % (int(file.readline().split()[1]) / 2**20)
    name = ""
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release") as file:
            name = dict(line.rstrip().split("=", 1) for line in file if "=" in line).get("PRETTY_NAME", "").strip('"')
    huge = ""
    if os.path.exists("/sys/kernel/mm/transparent_hugepage/enabled"):
        with open("/sys/kernel/mm/transparent_hugepage/enabled") as file:
            words = file.read()
            huge = ", transparent huge pages: " + words[words.find("[") + 1:words.find("]")]
    return "%d processors (%s), %s of memory, %s, Linux %s%s" % (len(os.sched_getaffinity(0)), model, memory, name,
                                                                 os.uname().release.split("-")[0], huge)


def _format(value):
    return "-" if value is None else "%.2f" % value


def duration(nanoseconds):
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= scale:
            return "%.3g %s" % (nanoseconds / scale, unit)
    return "%.3g ns" % nanoseconds


def size(kib):
    return "%.3g GiB" % (kib / 2**20) if kib >= 2**20 else "%.3g MiB" % (kib / 1024) if kib >= 1024 else "%.0f KiB" % kib


class Promise:
    """A figure that is no cost of a load: one row with a value an allocator, and what is aimed at."""

    def __init__(self, title, aim, values, show, kept=None):
        """kept: says of a value whether the aim is reached; None where the aim is a comparison."""
        self.title, self.aim, self.values = title, aim, values
        self.show = lambda value: "-" if value is None else show(value)
        self.kept = kept


def _percent(value):
    return "%.1f %%" % value if abs(value) < 1000 else "%.0f %%" % value


def promises(results):
    """The rows of which there are figures."""

    def values(load, figure):
        found = {name: figure(lambda key, name=name: results.median(load, name, key)) for name in results.allocators}
        return {name: value for name, value in found.items() if value is not None}

    def share(key):

        def figure(median):
            value, full = median(key), median("rss_kib_full")
            return 100 * value / full if value is not None and full else None

        return figure

    def growth(median):
        first, later = median("rss_kib_most_until_5_s"), median("rss_kib_most_after_5_s")
        return 100 * (later / first - 1) if first and later else None

    rows = []
    for load, what in (("burst", "burst freed"), ("burst-exited", "the same, of ended threads")):
        for key, moment in (("rss_kib_at_once", "at once"), ("rss_kib_after_1_s", "after 1 s of sleep")):
            rows.append(Promise("%s: resident %s, of the peak" % (what, moment), "5 % or less", values(load, share(key)), _percent,
                                lambda value: value <= 5))
    rows.append(Promise("1 % survive: empty pages that malloc_trim(0) has given back", "50 % or more",
                        values("burst-survivors", lambda median: median("empty_pages_given_back_percent")), _percent,
                        lambda value: value >= 50))
    rows.append(Promise("producer and consumer: growth of resident memory after 5 s", "none", values("steady", growth), _percent,
                        lambda value: value <= 1))
    rows.append(Promise("back and forth: the dearest level above the median one", "5 % or less",
                        values("ping-pong", lambda median: median("edge_loss_percent")), _percent, lambda value: value <= 5))
    for call in ("malloc", "free"):
        for part in ("99", "99.9", "99.99"):
            rows.append(Promise("%s: %s %% of the calls take at most" % (call, part), "the best peer's",
                                values("latency", lambda median, key="%s_latency_ns_%s" % (call, part): median(key)), duration))
    return [row for row in rows if row.values]


def markdown(results, about):
    """The tables as Markdown. `about`: lines on machine, libraries and command."""
    lines = ["# Allocators side by side", ""] + ["* %s" % line for line in about] + [""]
    lines += ["Figures are medians relative to the best peer of the load: below 1.00 hakmem is ahead of every peer. The last "
              "column is that peer's own figure.", ""]
    for key, title, show in ((CPU, "CPU time", duration), (PEAK, "Peak resident memory", size)):
        lines += ["## %s" % title, "", "| load | %s | best peer |" % " | ".join(results.allocators),
                  "|---|%s---|" % ("---:|" * len(results.allocators))]
        means = [results.geometric_mean(allocator, key)[0] for allocator in results.allocators]
        lines.append("| **geometric mean** | %s | |" % " | ".join("**%s**" % _format(mean) for mean in means))
        for load in results.rows(key):
            name, best = results.best_peer(load.name, key)
            ratios = [_format(results.ratio(load.name, allocator, key)) for allocator in results.allocators]
            lines.append("| %s | %s | %s |" % (load.name, " | ".join(ratios),
                                               "%s, %s" % (name, show(best)) if name else "-"))
        lines.append("")
    rows = promises(results)
    if rows:
        lines += ["## Memory that comes back, edges, slowest calls", "",
                  "| figure | aim | %s |" % " | ".join(results.allocators), "|---|---|%s" % ("---:|" * len(results.allocators))]
        for row in rows:
            lines.append("| %s | %s | %s |" % (row.title, row.aim,
                                               " | ".join(row.show(row.values.get(name)) for name in results.allocators)))
        lines.append("")
    if results.failures:
        lines += ["## Not finished", ""]
        lines += ["* %s on %s: %s" % (allocator, load, reason) for load, allocator, reason in results.failures]
        lines.append("")
    return "\n".join(lines)
