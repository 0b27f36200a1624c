#!/bin/bash
# The stress on a hakmem with a fault in it.
# usage: seeded_fault_test.sh STRESS fails WORDS   it has to fail, with WORDS in what it prints
#        seeded_fault_test.sh STRESS passes        it has to pass: this build contains no seam for the fault
set -u
stress=$1 expected=$2 words=${3:-}
# Short lists and blocks of few classes: slabs are used up, and refill gets to all of its sources. A fault then shows itself
# within a moment, but which moment is up to the scheduler. Some sources are reached with small blocks, some with larger ones,
# of which few fill a slab.
export HAKMEM_TINY_FAST_CAP=4
small=(--min_size=900 --max_size=1000 --blocks=500)
larger=(--min_size=15000 --max_size=16000 --blocks=100 --large_share=0)
if [[ $expected == fails ]]; then
  for seed in 1 2 3; do
    for load in small larger; do
      declare -n flags=$load
      output=$(timeout -s KILL 15 "$stress" repro --seconds=4 --threads=8 --seed=$seed "${flags[@]}" 2>&1)
      status=$?
      # What follows from the fault may end a run before it is noticed, or keep it from ending: then another run shows it.
      ! grep -Eq "$words" <<<"$output" || break 2
    done
  done
else
  output=$("$stress" repro --seconds=2 --threads=8 "${small[@]}" 2>&1)
  status=$?
fi
printf '%s\n' "$output" | head -n 60

if ! grep -q "larson_stress: repro, served by hakmem " <<<"$output"; then
  echo "FAILED: the stress did not start" >&2
  exit 1
fi
case $expected in
  passes)
    [[ $status == 0 && $output == *"larson_stress: passed"* ]] || { echo "FAILED: status $status, not passed" >&2; exit 1; }
    ;;
  fails)
    [[ $status != 0 ]] || { echo "FAILED: the fault was not found" >&2; exit 1; }
    grep -Eq "$words" <<<"$output" || { echo "FAILED: status $status, but without '$words'" >&2; exit 1; }
    # What is reported has to be the fault, not what followed from it.
    ! grep -q "larson_stress: FAILED" <<<"$output" || { echo "FAILED: found by a broken pattern first" >&2; exit 1; }
    ;;
  *) echo "FAILED: '$expected' is neither passes nor fails" >&2; exit 1 ;;
esac
