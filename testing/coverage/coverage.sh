#!/bin/bash
# Line coverage of the allocator by tests and fuzz corpora together.
#
#   ./bazelw run //testing/coverage [-- PATTERN...]
#
# Runs the tests (by default those of hakmem/, fuzz/ and testing/) with clang's source-based coverage, merges their profiles,
# and prints a line for each source file of hakmem/ and the lines that nothing reached. COVERAGE_DIR keeps the
# profiles; the last line printed is the total.
set -eu

cd "${BUILD_WORKSPACE_DIRECTORY:?run it with ./bazelw run}"
work=${COVERAGE_DIR:-$(mktemp -d /tmp/hakmem-coverage-XXXXXX)}
mkdir -p "$work/profiles"
patterns=("$@")
[ $# -ne 0 ] || patterns=(//hakmem/... //fuzz/... //testing/...)

# %m: one file for each binary, into which all its processes merge. Not in the sandbox, which would be thrown away.
status=0
./bazelw test --config=coverage --noshow_progress --keep_going --nocache_test_results --spawn_strategy=local \
  --test_tag_filters=-release-check,-manual,-no-coverage \
  "--test_env=LLVM_PROFILE_FILE=$work/profiles/%m-%p.profraw" \
  "${patterns[@]}" >"$work/tests.log" 2>&1 || status=$?
tail -n 3 "$work/tests.log"
[ $status -eq 0 ] || echo "coverage: some tests failed; see $work/tests.log" >&2

llvm-profdata-19 merge --sparse --failure-mode=all "$work"/profiles/*.profraw -o "$work/all.profdata"

# The binaries: every test, the library, and what tests start.
objects=()
while IFS= read -r file; do objects+=(-object "$file"); done < <(
  find -L bazel-bin/hakmem bazel-bin/fuzz bazel-bin/testing -type f -perm -u+x \
    ! -path '*.runfiles*' ! -name '*.sh' ! -name '*.py' ! -name '*.params' -size +20k 2>/dev/null |
    while IFS= read -r f; do [ "$(head -c 4 "$f" | tail -c 3)" = ELF ] && echo "$f"; done
)
[ ${#objects[@]} -ne 0 ] || { echo "coverage: no binaries" >&2; exit 1; }

mapfile -t sources < <(git ls-files 'hakmem/*.cc' 'hakmem/*.h' | grep -v '_test.cc$' | grep -v '^hakmem/run/')
# Fork children and exits without handlers leave no profile: their lines count as not reached.
llvm-cov-19 report "${objects[@]}" -instr-profile="$work/all.profdata" --show-branch-summary=false \
  --show-region-summary=false "${sources[@]}" 2>"$work/report.err" | sed 's|^/proc/self/cwd/||' >"$work/report.txt"
llvm-cov-19 export "${objects[@]}" -instr-profile="$work/all.profdata" -format=lcov "${sources[@]}" \
  2>/dev/null >"$work/lcov.txt"
cat "$work/report.txt"
echo "lines that nothing reached:"
sed -n 's|^SF:\(/proc/self/cwd/\)\{0,1\}|SF:|; s|^SF:.*/hakmem/\(hakmem/.*\)|SF:\1|; p' "$work/lcov.txt" | awk '
  /^SF:/ { file = substr($0, 4); line = "" }
  /^DA:/ { split(substr($0, 4), d, ","); if (d[2] == 0) line = line " " d[1] }
  /^end_of_record/ { if (line != "") print "  " file ":" line }'
awk '$1 == "TOTAL"' "$work/report.txt"
