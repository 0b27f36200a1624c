#!/bin/sh
# clang-tidy (.clang-tidy) over the allocator's own sources, or those given: ./bazelw run //tools:tidy -- [FILE...]
set -u
tool=clang-tidy-19
command -v "$tool" >/dev/null || { echo "$tool is missing; install it with: apt-get install $tool" >&2; exit 1; }
cd "${BUILD_WORKSPACE_DIRECTORY:?"run it by: ./bazelw run //tools:tidy"}" || exit 1
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(find hakmem -name '*.cc' ! -name '*_test.cc' ! -name '*_benchmark.cc' ! -path 'hakmem/run/*')
failed=0
for file in "$@"; do
  "$tool" --quiet --warnings-as-errors='*' "$file" -- -std=c++20 -I. -Ihakmem/api/include 2>/dev/null || failed=1
done
exit $failed
