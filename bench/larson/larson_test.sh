#!/bin/bash
# The command line of larson: figures for good flags, a clear message and a status of its own for bad ones, and no
# figures for hakmem from another allocator.
set -u
larson=$1
larson_hakmem=$2
library=$3
shift 3
fakes=("$@")
failed=0

# check STATUS WORDS ARGS...: run, compare the exit status, and look for WORDS in both outputs.
check() {
  local status=$1 words=$2 output
  shift 2
  output=$("$@" 2>&1)
  local got=$?
  if [[ $got != "$status" || $output != *"$words"* ]]; then
    echo "FAILED: $*: status $got instead of $status, or no '$words' in:" >&2
    echo "$output" >&2
    failed=1
  fi
}

check 0 "operations_per_second: " "$larson" --seconds=0.1 --threads=3 --min_size=1 --max_size=2000 --chunks=50 --rounds=5 --seed=7
check 0 "operations_per_second: " "$larson" --seconds=0.1 --sized_delete
check 0 "malloc_latency_ns_99.99: " "$larson" --seconds=0.1 --latency
check 0 "free_latency_ns_99.99: " "$larson" --seconds=0.1 --latency --sized_delete
check 0 "operations_per_second: " "$larson" 1 8 1000 100 100 4141 2
check 0 "--max_size" "$larson" --help
check 2 "wrong way round: the smallest, 1000, is above the largest, 1" "$larson" --min_size=1000 --max_size=1
check 2 "wrong way round: the smallest, 900, is above the largest, 8" "$larson" 1 900 8 100 100 42 1
check 2 "--min_size=0 is not between" "$larson" --min_size=0
check 2 "--min_size=-5 is not between" "$larson" --min_size=-5
check 2 "--threads=0 is not between" "$larson" --threads=0
check 2 "--chunks=0 is not between" "$larson" --chunks=0
check 2 "--rounds=0 is not between" "$larson" --rounds=0
check 2 "--seconds=0 is not above 0" "$larson" --seconds=0
check 2 "--seconds=nan is not above 0" "$larson" --seconds=nan
check 2 "'many' is no value for --threads" "$larson" --threads=many
check 2 "unknown flag '--thread=2'" "$larson" --thread=2
check 2 "7 numbers are expected" "$larson" 5 8 1000
check 2 "seed 'x' is not a whole number" "$larson" 1 8 1000 100 100 x 1
check 4 "expected allocator 'nobody'" "$larson" --expect=nobody --seconds=0.1

# The proof: without hakmem, and with libraries that only look like it.
if [[ -z ${LD_PRELOAD:-} ]]; then
  check 4 "expected allocator 'hakmem', but served by" "$larson" --expect=hakmem --seconds=0.1
fi
for fake in "${fakes[@]}"; do
  # A file name is no proof when parts of malloc come from elsewhere.
  [[ $fake != *partial* ]] ||
    check 4 "calloc comes from " env LD_PRELOAD="$PWD/$fake" "$larson" --expect=partial --seconds=0.1
  check 4 "(refused: " env LD_PRELOAD="$PWD/$fake" "$larson" --expect=hakmem --seconds=0.1
done

# Clock, samples and percentiles of single calls.
check 0 "latency_samples: " "$larson" --latency --seconds=0.2
check 0 "free_latency_ns_99.99: " "$larson" --latency --seconds=0.2

# And with hakmem, preloaded and linked in: one thread and several, plain and sized.
for threads in 1 4; do
  check 0 "allocator: hakmem " env LD_PRELOAD="$PWD/$library" "$larson" --expect=hakmem --seconds=1 --threads=$threads
  check 0 "allocator: hakmem " "$larson_hakmem" --expect=hakmem --seconds=1 --threads=$threads --sized_delete
done
check 4 "expected allocator 'libc.so'" env LD_PRELOAD="$PWD/$library" "$larson" --expect=libc.so --seconds=0.1

exit $failed
