#!/bin/bash
# Line coverage of hakmem/ by tests and fuzz corpora.
#
#   ./bazelw run //testing/coverage                       everything; fails below the least total (at the end)
#   ./bazelw run //testing/coverage -- PATTERN...         what these tests reach, together
#   ./bazelw run //testing/coverage -- --each PATTERN...  a line for each of them, measured alone: //fuzz:threads ...
#
# Runs the tests with clang's source-based coverage, in each of the builds named below, and counts a line as reached when it
# was in one of them. COVERAGE_DIR keeps what was measured.
set -eu

cd "${BUILD_WORKSPACE_DIRECTORY:?run it with ./bazelw run}"
work=${COVERAGE_DIR:-$(mktemp -d /tmp/hakmem-coverage-XXXXXX)}
mkdir -p "$work"
tool() { if command -v "$1-19" >/dev/null; then "$1-19" "${@:2}"; else "$@"; fi; }

lines() { /usr/bin/python3 -B testing/coverage/lines.py "$@"; }

# measure NAME FLAGS PATTERN...: leaves the lines, with counts, in $work/NAME.lcov.
measure() {
  local name=$1 flags=$2 status=0 binaries=() objects=() binary
  shift 2
  rm -rf "$work/$name.profiles"
  mkdir "$work/$name.profiles"
  # %m: one file for each binary, %c: which is the counters of all its processes, libraries in other programs included.
  # Not in the sandbox, which would be thrown away.
  # shellcheck disable=SC2086
  ./bazelw test --config=coverage $flags --noshow_progress --keep_going --nocache_test_results --spawn_strategy=local \
    --test_tag_filters=-release-check,-manual --build_tag_filters=-release-check,-manual \
    "--build_event_json_file=$work/$name.events" "--test_env=LLVM_PROFILE_FILE=$work/$name.profiles/%c%m.profraw" \
    -- "$@" >"$work/$name.log" 2>&1 || status=$?
  if [ $status -ne 0 ]; then
    grep -E '^(FAIL|ERROR|TIMEOUT|FLAKY)|FAILED' "$work/$name.log" >&2 || tail -n 20 "$work/$name.log" >&2
    echo "coverage: bazel ended with status $status; see $work/$name.log" >&2
    return 1
  fi
  mapfile -t binaries < <(lines binaries "$work/$name.events")
  [ ${#binaries[@]} -ne 0 ] || { echo "coverage: no binaries in $work/$name.events" >&2; return 1; }
  for binary in "${binaries[@]}"; do objects+=(-object "$binary"); done
  tool llvm-profdata merge --sparse "$work/$name.profiles"/*.profraw -o "$work/$name.profdata"
  tool llvm-cov export "${objects[@]}" -instr-profile="$work/$name.profdata" -format=lcov \
    -ignore-filename-regex='(^|/)(testing|fuzz|external|usr)/' >"$work/$name.lcov" 2>"$work/$name.warnings"
}

# Sources of tests alone, wherever they lie.
testonly='attr(testonly, 1, //hakmem/...)'
./bazelw query --noshow_progress "labels(srcs, $testonly) union labels(hdrs, $testonly)" >"$work/testonly" 2>/dev/null

if [ "${1:-}" = --each ]; then
  shift
  for pattern in "$@"; do
    name=$(printf %s "${pattern#//}" | tr -c 'a-zA-Z0-9_' -)
    measure "$name" "" "$pattern"
    printf '%s: ' "$pattern"
    lines total "$work/testonly" "$work/$name.lcov"
  done
elif [ $# -ne 0 ]; then
  measure some "" "$@"
  lines report "$work/testonly" "$work/some.lcov"
else
  # Debug builds hold the least that is theirs alone: what guard and release builds have beside is reached by fewer tests.
  measure debug "" //hakmem/... //fuzz/... //testing/...
  measure guard --config=guard //hakmem/... //testing/misuse/... //testing/faults/...
  measure release --config=release //hakmem/... //testing/misuse/... //testing/faults/... //testing/interpose/...
  lines report --least=95 --reasons=testing/coverage/uncovered.md "$work/testonly" \
    "$work"/debug.lcov "$work"/guard.lcov "$work"/release.lcov
fi
