#!/bin/bash
# The replay as a program: who serves it, its report and picture, and what it says of mistakes and damage.
set -u
replay=$PWD/$1 library=$PWD/$2 trace=$PWD/$3
cd "$TEST_TMPDIR" || exit 1
failed=0
fail() {
  echo "FAILED: $*" >&2
  failed=1
}
has() {  # words, report
  [[ $2 == *"$1"* ]] || fail "no '$1' in: $2"
}

{
  echo "stream threads=2 slots=300 max_size=100000 max_live=100000000"
  echo "0 start 1"
  for ((i = 0; i < 300; ++i)); do
    echo "0 malloc $i $((i * 300))"
    echo "0 realloc $i $((i * 310 + 1))"
    ((i % 3)) || echo "0 hand $i 1 $i"
  done
  for ((i = 0; i < 300; ++i)); do
    if ((i % 3)); then echo "0 free $i"; else echo "1 free $i"; fi
  done
} > text

# hakmem serves by itself, what is preloaded serves instead, and the C library when it is asked for.
report=$("$replay" --repeat=3 --check text) || fail "status $?"
has "allocator: hakmem" "$report"
has "operations: 2700" "$report"
has "threads: 2" "$report"
has "cpu_ns_per_operation: " "$report"
has "peak_rss_kib: " "$report"
has "most_resident_per_most_live: " "$report"
has "live MiB" "$report"
report=$(LD_PRELOAD=$library "$replay" text) || fail "preloaded: status $?"
has "libhakmem.so" "$report"
report=$("$replay" --preload="$library" --expect=hakmem text) || fail "named: status $?"
has "allocator: hakmem" "$report"
report=$("$replay" --preload=none --expect=libc.so --check --points=0 text) || fail "the C library: status $?"
[[ $report != *"live MiB"* ]] || fail "a table without points: $report"
"$replay" --preload=none --expect=hakmem text > /dev/null 2>&1
[[ $? == 4 ]] || fail "the C library passed for hakmem"

# Names of files are those of whoever calls `bazel run`.
(cd / && BUILD_WORKING_DIRECTORY=$TEST_TMPDIR "$replay" --preload="$library" --svg=picture.svg text) > /dev/null || fail "svg: status $?"
[[ $(< picture.svg) == "<svg "*"resident"*"</svg>" ]] || fail "no picture"

refuse() {
  local words=$1 output
  shift
  output=$("$@" 2>&1)
  local got=$?
  [[ $got == 2 && $output == *"$words"* ]] || fail "$*: status $got, no '$words' in: $output"
}
"$trace" convert --output=whole text > /dev/null || fail "convert: $?"
report=$("$replay" whole) || fail "HKOS: status $?"
has "operations: 900" "$report"
head -c 3000 whole > short
refuse "the file is cut short" "$replay" short
refuse "--salvage replays the" "$replay" short
"$replay" --salvage short > /dev/null 2>&1 || fail "--salvage: status $?"
printf 'not a recording' > other
refuse "this is no recording" "$replay" other
refuse "No such file" "$replay" nowhere
refuse "one recording is needed, 0 given" "$replay"
refuse "--repeat=0 is not between" "$replay" --repeat=0 text
refuse "--preload=/no/where: No such file" "$replay" --preload=/no/where text
refuse "--svg needs --points" "$replay" --points=0 --svg=x text
"$replay" --help | grep -q -- --check || fail "--help tells nothing"

exit $failed
