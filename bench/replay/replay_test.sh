#!/bin/bash
# Records a program, converts the recording, and replays it, on the C library and on hakmem.
set -u
recorder=$PWD/$1 program=$PWD/$2 convert=$PWD/$3 replay=$PWD/$4 library=$PWD/$5
cd "$TEST_TMPDIR" || exit 1
failed=0
fail() {
  echo "FAILED: $*" >&2
  failed=1
}

HAKMEM_RECORD=raw LD_PRELOAD=$recorder "$program" || fail "the recorded program ended with $?"
set -- raw.*
[[ $# == 1 ]] || fail "one recording is expected, there are: $*"
report=$("$convert" --raw="$1" --trace=trace) || fail "convert ended with $?: $report"
events=$(sed -n 's/^events: //p' <<< "$report")
slots=$(sed -n 's/^slots: //p' <<< "$report")
# 1000 allocations, 1000 reallocs, 500 frees, 200 times 2 aligned allocations and their frees; the vector and the thread
# add some.
((events >= 3300 && events < 3500)) || fail "3300 and some events are expected: $report"
((slots >= 1000 && slots < 1100)) || fail "1000 and some slots are expected: $report"

for preload in "" "$library"; do
  expect=any
  [[ -n $preload ]] && expect=hakmem
  report=$(LD_PRELOAD=$preload "$replay" --trace=trace --repeat=3 --expect=$expect) || fail "replay on '$preload': $?"
  [[ $report == *"operations: $((3 * events))"* ]] || fail "3 * $events operations are expected: $report"
done

# A program that forks: the child has a recording of its own.
rm -f raw.*
HAKMEM_RECORD=raw LD_PRELOAD=$recorder bash -c 'x=$(true; echo); true' || fail "recorded bash ended with $?"
set -- raw.*
(($# >= 2)) || fail "recordings of parent and child are expected, there are: $*"

# Damage is noticed, not replayed.
refuse() {
  local words=$1 output
  shift
  output=$("$@" 2>&1)
  local got=$?
  [[ $got == 2 && $output == *"$words"* ]] || fail "$*: status $got, no '$words' in: $output"
}
head -c 2000 trace > short
refuse "is shorter than its header" "$replay" --trace=short
printf 'not a trace, but some text that is long enough' > text
refuse "is no trace" "$replay" --trace=text
refuse "cannot be opened" "$replay" --trace=nowhere
refuse "--trace is needed" "$replay"
refuse "cannot be opened" "$convert" --raw=nowhere --trace=out
refuse "--raw and --trace are needed" "$convert" --raw=trace

exit $failed
