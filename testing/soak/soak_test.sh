#!/bin/bash
# A short soak passes; one of an allocator with a fault in it fails, and what it prints repeats the failure.
# usage: soak_test.sh SOAK SOAK_OF_A_BROKEN_ALLOCATOR
set -u
soak=$1 broken=$2
die() { printf '%s\n' "$output" "FAILED: $*" >&2; exit 1; }

output=$("$soak" --minutes=0.08 --progress=2) || die "the soak failed"
grep -Eq '^soak: .*: 0:0[0-9] left, [1-9][0-9]* seeds, [1-9][0-9]* operations, 0 failures$' <<<"$output" || die "no progress"
grep -Eq '^soak: .* seeds [0-9]+ to [0-9]+, [1-9][0-9]* operations, 0 failures$' <<<"$output" || die "no figures"
tail -n 1 <<<"$output"

output=$("$soak" --variant=none_such 2>&1) && die "an unknown variant passed"
grep -q '^  no_lists_no_adoption_no_window$' <<<"$output" || die "the variants are not named"

# fault, how it shows itself, more flags
fails() {
  export SOAK_FAULT=$1
  output=$("$broken" --seed=7 --rounds=1 $3 2>&1)
  [ $? = 1 ] || die "fault $1: not found"
  [[ $output == *$2* ]] || die "fault $1: not described by '$2'"
  local command
  command=$(grep -m 1 -E '^  \./bazelw run( --config=[a-z]+)? //testing:soak -- ' <<<"$output") || die "fault $1: no command"
  # shellcheck disable=SC2086
  output=$("$broken" ${command#* -- } $3 2>&1)
  [ $? = 1 ] || die "fault $1: not repeated by '$command'"
  [[ $output == *$2* ]] || die "fault $1: another failure by '$command'"
}
fails dirty "of calloc is not zero at byte 10" ""
fails abort "signal 6" ""
fails hang "it hangs" --round_limit=2
echo "the faults were found, and found again"
