#!/bin/sh
# Started by `bazel run`, which leaves us in the runfiles; results go where the caller stands.
bench="$PWD/bench"
library="$PWD/hakmem/libhakmem.so"
compare="$bench/comparison/compare.py"
command -v python3 > /dev/null || { echo "compare: python3 is not installed" >&2; exit 2; }
cd "${BUILD_WORKING_DIRECTORY:-$PWD}" || exit 2
exec python3 -B "$compare" --bench="$bench" --hakmem="$library" "$@"
