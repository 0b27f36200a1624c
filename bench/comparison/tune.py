"""Takes recordings of programs, and compares size classes, slab sizes and list bounds over what they did."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import programs

# Recordings that are there, and programs that are recorded anew.
KEPT = ["cc1plus", "python3", "sqlite3"]
RECORDED = ["lua5.4", "perl", "git"]


def main(arguments):
    parser = argparse.ArgumentParser(prog="tune", description=__doc__)
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hakmem", required=True, help="the library of hakmem, which records")
    parser.add_argument("--programs", default=",".join(KEPT + RECORDED), help="comma-separated (default: %(default)s)")
    parser.add_argument("recordings", nargs="*", metavar="RECORDING", help="recordings to use instead")
    options = parser.parse_args(arguments)
    names = options.programs.split(",")
    unknown = [name for name in names if name not in KEPT + RECORDED]
    if unknown:
        parser.error("'%s' is no program that is recorded; known are %s" % (unknown[0], ", ".join(KEPT + RECORDED)))
    scratch = tempfile.mkdtemp(prefix="tune-")
    try:
        traces = [os.path.abspath(path) for path in options.recordings]
        for name in [] if traces else names:
            if name in KEPT:
                traces.append(os.path.join(options.bench, "recordings", name + ".hkos"))
                continue
            missing = programs.available(name)
            if missing:
                print("%s is left out: %s" % (name, missing), file=sys.stderr)
                continue
            print("recording %s" % name, file=sys.stderr, flush=True)
            traces.append(programs.record(name, os.path.abspath(options.hakmem), scratch))
        if not traces:
            print("tune: nothing was recorded", file=sys.stderr)
            return 1
        return subprocess.run([os.path.join(options.bench, "tuning", "tune")] + traces, check=False).returncode
    except (RuntimeError, OSError) as error:
        print("tune: %s" % error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
