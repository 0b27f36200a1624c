"""Runs one load on one allocator and reads its report."""

import mmap
import os
import subprocess
import time

import programs


class Run:
    """The figures of one run, or why there are none."""

    def __init__(self, figures=None, failure=""):
        self.figures = figures or {}
        self.failure = failure


# Figures that every load has.
CPU = "cpu_ns_per_operation"
PEAK = "peak_rss_kib"


def parse_report(text):
    """The 'key: value' lines of a report; numbers as float, the rest as text."""
    figures = {}
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if not colon or " " in key:
            continue
        try:
            figures[key] = float(value)
        except ValueError:
            figures[key] = value
    return figures


_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of madvise(2), since Linux 5.14


def warm_memory(size):
    """Uses `size` bytes, at most a quarter of what is free, and gives them back.

    In a virtual machine a page that nobody uses for two seconds goes back to the host, and who needs it next pays for
    that ten times what a page costs otherwise. An allocator that gives memory back would pay in its next run for what
    others keep to the end.
    """
    size = max(min(size, os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE // 4), mmap.PAGESIZE)
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
            memory.madvise(_POPULATE_WRITE)
        except OSError:
            for at in range(0, size, mmap.PAGESIZE):
                memory[at] = 1


class Runner:
    """bench: the folder of the built loads. hakmem: a library of hakmem, which records programs. scratch: a folder for files
    of the real programs."""

    def __init__(self, bench, hakmem, scratch, quick, timeout):
        self.bench = bench
        self.hakmem = hakmem
        self.scratch = scratch
        self.quick = quick
        self.timeout = timeout
        self.processors = sorted(os.sched_getaffinity(0))
        self.measured = os.path.join(bench, "harness", "run_measured")
        self.proved = {}

    def _prefix(self, load):
        """Pins loads of one thread to one processor: the last, as the first ones serve most interrupts."""
        return ["taskset", "-c", str(self.processors[-1])] if load.cores == 1 and len(self.processors) > 1 else []

    def prepare(self, load):
        """Makes ready what `load` needs; returns why it cannot run, or ''."""
        if load.program != "real":
            path = os.path.join(self.bench, load.program)
            if not os.access(path, os.X_OK):
                return "%s was not built" % path
            if not load.recorded:
                return ""
            if not os.path.isfile(self.hakmem):
                return "there is no library of hakmem to record it with"
        name = load.recorded or load.name
        missing = programs.available(name)
        if missing:
            return missing
        try:
            if load.recorded:
                programs.record(name, self.hakmem, self.scratch)
            else:
                programs.prepare(name, self.scratch)
        except (RuntimeError, OSError) as error:
            return str(error)
        return ""

    def run(self, load, allocator):
        """One run, or why there is none: whatever goes wrong with it is no reason to lose the others."""
        try:
            warm_memory((1 if self.quick else 2) << (30 if load.warm else 27))
            start = time.monotonic()
            run = self._run_real(load, allocator) if load.program == "real" else self._run_own(load, allocator)
            run.figures["run_seconds"] = time.monotonic() - start
            return run
        except subprocess.TimeoutExpired as error:
            return Run(failure="not done after %d s" % error.timeout)
        except (OSError, RuntimeError, ValueError, KeyError, subprocess.SubprocessError) as error:
            return Run(failure="%s: %s" % (type(error).__name__, error))

    def _seconds(self, load):
        """When a run of this load counts as hanging: those that take long by intent get their time on top."""
        return self.timeout + (load.lasts if not self.quick else 0)

    def _run_own(self, load, allocator):
        arguments = load.quick if self.quick else load.full
        if load.recorded:
            arguments = arguments + [programs.record(load.recorded, self.hakmem, self.scratch)]
        if load.recording:
            arguments = arguments + [os.path.join(self.bench, load.recording)]
        command = self._prefix(load) + [os.path.join(self.bench, load.program), "--expect=" + allocator.proof] + arguments
        paths_report = ""
        if load.name == "paths":
            paths_report = os.path.join(self.scratch, "paths.json")
            command += ["--benchmark_out=" + paths_report, "--benchmark_out_format=json"]
        environment = dict(os.environ, **allocator.environment)
        environment.pop("LD_PRELOAD", None)
        if allocator.library:
            environment["LD_PRELOAD"] = allocator.library
        status, output, errors = programs.run_group(command, self._seconds(load), env=environment)
        if status != 0:
            return Run(failure=_ending(status, errors))
        figures = parse_report(output)
        if CPU not in figures or PEAK not in figures:
            return Run(failure="no figures in its report")
        if paths_report:
            figures["paths"] = paths_report
        return Run(figures)

    def _run_real(self, load, allocator):
        report = os.path.join(self.scratch, "report")
        if os.path.exists(report):
            os.remove(report)
        key = (load.name, allocator.name)
        if key not in self.proved:
            self.proved[key] = programs.who_serves(load.name, allocator.library, self.scratch)
        if allocator.library and self.proved[key] != allocator.library:
            return Run(failure="malloc is bound to '%s'" % self.proved[key])
        repeat = (load.quick if self.quick else load.full)[0]
        if load.name == "redis":
            status, output = programs.run_redis(self.measured, allocator, report, self.scratch, repeat, self._prefix(load))
        else:
            command, additional = programs.command(load.name, self.scratch, repeat)
            words = [self.measured, "--preload=" + allocator.library, "--report=" + report, "--"] + command
            status, _, output = programs.run_group(self._prefix(load) + words, self._seconds(load),
                                                   env=dict(os.environ, **additional, **allocator.environment))
        if status != 0 or not os.path.exists(report):
            return Run(failure=_ending(status, output))
        with open(report) as file:
            figures = parse_report(file.read())
        # The whole program is one operation.
        figures[CPU] = (figures["cpu_user_seconds"] + figures["cpu_system_seconds"]) * 1e9
        figures["allocator"] = self.proved[key]
        return Run(figures)


def _ending(status, output):
    lines = [line for line in output.strip().splitlines() if line.strip()]
    text = lines[-1][:200] if lines else ""
    if status < 0 or status > 128:
        return "ended by signal %d %s" % (-status if status < 0 else status - 128, text)
    return "status %d %s" % (status, text)
