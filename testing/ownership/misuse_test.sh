#!/bin/bash
# Compiles each case of misuse.cc: the control has to compile without a word, every other has to be refused with the words
# that stand beside it.
# usage: misuse_test.sh COMPILER MISUSE_CC DEFINES...
set -u
compiler=$1 source=$2
shift 2
# An unused result is an error in hakmem's own code (hakmem/copts.bzl).
flags=(-std=c++20 -Werror=unused-result -I. "$@")
# The headers are read once for all cases.
headers=$TEST_TMPDIR/headers.pch
"$compiler" -x c++-header "${flags[@]}" -include optional -include utility hakmem/superslab/owned_slab.h -o "$headers" || exit 1
command=("$compiler" -x c++ "${flags[@]}" -include-pch "$headers" -fsyntax-only)
cases=0 controls=0 failed=0

fail() {
  echo "FAILED: $1: $2" >&2
  printf '%s\n' "$output" | head -n 20 >&2
  failed=1
}

while IFS=: read -r head expected; do
  name=${head#*defined(}
  name=${name%%)*}
  expected=${expected# }
  output=$("${command[@]}" "-D$name" "$source" 2>&1)
  status=$?
  cases=$((cases + 1))
  if [[ -z $expected ]]; then
    controls=$((controls + 1))
    [[ $status == 0 && -z $output ]] || fail "$name" "does not compile (status $status)"
  else
    [[ $status != 0 ]] || fail "$name" "compiles"
    [[ $output == *"error: "*"$expected"* ]] || fail "$name" "is not refused with '$expected'"
    # One mistake, one error: a case that is refused for something else as well shows nothing.
    errors=$(grep -c 'error: ' <<<"$output")
    [[ $errors == 1 ]] || fail "$name" "has $errors errors"
  fi
done < <(sed -n 's/^#\(el\)\{0,1\}if \(defined(CASE_[A-Z_]*)\)  *\/\/ expect/\2/p' "$source" | sed 's/^\(defined([A-Z_]*)\)/\1/')

output=
[[ $cases -ge 20 && $controls == 1 ]] || fail misuse.cc "has $cases cases, $controls of them controls"
echo "$cases cases, $controls of them control"
exit $failed
