"""Records the programs of the suite, and compares size classes, slab sizes and list bounds over what they did."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import programs

RECORDED = ["python3", "sqlite3", "lua5.4", "perl", "git", "gcc"]


def main(arguments):
    parser = argparse.ArgumentParser(prog="tune", description=__doc__)
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hakmem", help=argparse.SUPPRESS)
    parser.add_argument("--programs", default=",".join(RECORDED), help="comma-separated programs to record (default: %(default)s)")
    parser.add_argument("--sizes", default="", help="folder that gets what each program asks for, for bench/tuning/sizes")
    parser.add_argument("traces", nargs="*", metavar="TRACE", help="traces of bench/replay to use instead of recording anew")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.programs.split(",") if name not in RECORDED]
    if unknown:
        parser.error("'%s' is no program that is recorded; known are %s" % (unknown[0], ", ".join(RECORDED)))
    scratch = tempfile.mkdtemp(prefix="tune-")
    try:
        traces = [os.path.abspath(path) for path in options.traces]
        for name in [] if traces else options.programs.split(","):
            missing = programs.available(name)
            if missing:
                print("%s is left out: %s" % (name, missing), file=sys.stderr)
                continue
            print("recording %s" % name, file=sys.stderr, flush=True)
            traces.append(programs.record(name, options.bench, scratch))
        if not traces:
            print("tune: nothing was recorded", file=sys.stderr)
            return 1
        words = ["--sizes=" + os.path.abspath(options.sizes)] if options.sizes else []
        return subprocess.run([os.path.join(options.bench, "tuning", "tune")] + words + traces, check=False).returncode
    except (RuntimeError, OSError) as error:
        print("tune: %s" % error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
