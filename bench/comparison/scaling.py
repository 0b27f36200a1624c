"""Counts what could keep hakmem from scaling: shared atomic operations, locks and system calls for each million of calls
of malloc and free, by number of threads. Counts do not depend on how many processors this machine has."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import runner

THREADS = [1, 2, 4, 16, 64]

# Name, program, arguments for N threads, does it share blocks between threads? Without sharing every thread does the same
# work however many there are: their start and end are then the same share of it.
LOADS = [
    ("many_sizes", "loads/many_sizes", lambda n: ["--threads=%d" % n, "--replacements=500000"], False),
    ("lifo_reverse", "loads/lifo_reverse", lambda n: ["--threads=%d" % n, "--batches=40"], False),
    ("larson", "larson/larson", lambda n: ["--threads=%d" % n, "--seconds=1", "--chunks=1000", "--rounds=1000"], True),
    ("exchange", "loads/exchange", lambda n: ["--threads=%d" % n, "--generations=8", "--exchanges=%d" % (400000 // n)], True),
    ("producer_consumer", "loads/producer_consumer",
     lambda n: ["--producers=%d" % ((n + 1) // 2), "--consumers=%d" % ((n + 1) // 2), "--blocks=4000000"], True),
]

# Operations of a load that are one malloc and one free each.
PAIRS = {"larson"}

SHARED = ["remote_pushes", "notifications", "drains", "adopted", "claims_refused"]
CALLS = ["calls_map", "calls_unmap", "calls_purge", "calls_remap"]


def counts(bench, library, program, arguments):
    """(calls of malloc and free, statistics) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "statistics")
        environment = dict(os.environ, LD_PRELOAD=library, HAKMEM_STATS="2", HAKMEM_REPORT=report)
        done = subprocess.run([os.path.join(bench, program), "--expect=hakmem"] + arguments, env=environment, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError("%s ended with %d: %s" % (program, done.returncode, done.stderr.strip()))
        with open(report) as file:
            statistics = json.loads(file.read().strip().splitlines()[-1])
        return runner.parse_report(done.stdout)["operations"], statistics


def row(operations, statistics):
    """Counts for each million of calls: shared atomics, locks taken, of them contended, system calls, remote frees."""
    million = operations / 1e6
    locks = sum(value for key, value in statistics.items() if key.startswith("lock_") and not key.endswith("_contended"))
    contended = sum(value for key, value in statistics.items() if key.startswith("lock_") and key.endswith("_contended"))
    return [sum(statistics.get(key, 0) for key in SHARED) / million, locks / million, contended / million,
            sum(statistics.get(key, 0) for key in CALLS) / million, statistics.get("remote_frees", 0) / million]


def main(arguments):
    parser = argparse.ArgumentParser(prog="scaling", description=__doc__)
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hakmem", required=True, help="the library of hakmem")
    parser.add_argument("--threads", default=",".join(map(str, THREADS)), help="numbers of threads")
    options = parser.parse_args(arguments)
    try:
        numbers = [int(word) for word in options.threads.split(",")]
    except ValueError:
        parser.error("--threads takes whole numbers")
    if min(numbers) < 1:
        parser.error("--threads takes numbers from 1 on")
    print("For each million of calls of malloc and free:\n")
    print("| load | threads | shared atomics | locks | contended | system calls | blocks freed by another thread |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, program, words, sharing in LOADS:
        for number in numbers:
            try:
                operations, statistics = counts(options.bench, os.path.abspath(options.hakmem), program, words(number))
            except (RuntimeError, OSError, ValueError) as error:
                print("scaling: %s" % error, file=sys.stderr)
                return 1
            figures = row(operations * (2 if name in PAIRS else 1), statistics)
            print("| %s%s | %d | %s |" % (name, " (shares)" if sharing else "", number,
                                          " | ".join("%.1f" % value for value in figures)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
