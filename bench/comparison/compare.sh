#!/bin/sh
# Started by `bazel run`, which leaves us in the runfiles; results go where the caller stands. The first word names the
# script.
bench="$PWD/bench"
library="$PWD/hakmem/libhakmem.so"
script="$bench/comparison/$1.py"
shift
command -v python3 > /dev/null || { echo "python3 is not installed" >&2; exit 2; }
cd "${BUILD_WORKING_DIRECTORY:-$PWD}" || exit 2
exec python3 -B "$script" --bench="$bench" --hakmem="$library" "$@"
