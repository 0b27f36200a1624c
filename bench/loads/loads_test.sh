#!/bin/bash
# Every load at a small size on hakmem: blocks keep their contents, the report is whole, bad words are refused.
set -u
library=$PWD/$1
folder=$(dirname "$2")
failed=0

# check STATUS WORDS LOAD ARGS...: run LOAD on hakmem, compare the exit status, and look for WORDS in both outputs.
check() {
  local status=$1 words=$2 load=$3 output
  shift 3
  output=$(LD_PRELOAD=$library "$folder/$load" --expect=hakmem "$@" 2>&1)
  local got=$?
  if [[ $got != "$status" || $output != *"$words"* ]]; then
    echo "FAILED: $load $*: status $got instead of $status, or no '$words' in:" >&2
    echo "$output" >&2
    failed=1
  fi
}

# good LOAD ARGS...: ends well, and reports what it measured.
good() {
  check 0 "peak_rss_kib: " "$@"
  check 0 "cpu_ns_per_operation: " "$@"
}

good burst --mode=all --bytes=20000000 --idle=0.2
good burst --mode=exited --bytes=20000000 --idle=0.2
check 0 "empty_pages_given_back_percent: " burst --mode=survivors --bytes=20000000 --idle=0.2
good exchange --generations=4 --exchanges=10000 --threads=5
good false_sharing --mode=active --iterations=200
good false_sharing --mode=passive --iterations=200
good fork_loop --bytes=10000000 --forks=5 --replacements=1000 --threads=3
good growing_vectors --bytes=50000000
good growing_vectors --bytes=2000000 --vectors=300 --rounds=3 --percent=110
good large_blocks --blocks=100 --live=5
good lifo_reverse --batches=20 --threads=2
good many_sizes --replacements=100000 --threads=3
good many_threads --threads=300 --at_a_time=1
good many_threads --threads=300 --at_a_time=50
good pareto --live=20000 --replacements=200000 --sweep_every=20000
good paths_benchmark --benchmark_min_time=0.0001
good ping_pong --levels=12 --operations=50
check 0 "edge_loss_percent: " ping_pong --levels=12 --operations=50 --size=4096
check 2 "--levels=1 is not between" ping_pong --levels=1
good producer_consumer --blocks=200000
good producer_consumer --blocks=100000 --producers=3 --consumers=2 --batch=7 --max_size=3000
check 0 "rss_kib_most_after_5_s: " producer_consumer --seconds=6.2
good short_lived --mode=integers --rounds=300
good short_lived --mode=lists --rounds=300

for load in burst exchange false_sharing fork_loop growing_vectors large_blocks lifo_reverse many_sizes many_threads pareto ping_pong \
  paths_benchmark producer_consumer short_lived; do
  check 2 "unknown flag '--no_such_flag=1'" $load --no_such_flag=1
  check 2 "takes flags only" $load word
  [[ $load == paths_benchmark ]] || check 0 "Exit status: 0 good" $load --help
done
check 0 "--benchmark_filter" paths_benchmark --help
for load in exchange lifo_reverse many_sizes many_threads false_sharing fork_loop; do
  check 2 "--threads=0 is not between" $load --threads=0
done
for load in fork_loop large_blocks lifo_reverse many_sizes pareto producer_consumer burst; do
  check 2 "--max_size=50 is not between 100 and" $load --min_size=100 --max_size=50
done
check 2 "--mode=none is none of" burst --mode=none
check 2 "--mode=none is neither" false_sharing --mode=none
check 2 "--mode=none is neither" short_lived --mode=none
check 2 "--percent=100 is not between" growing_vectors --percent=100
check 2 "--alpha=0 is not above 0" pareto --alpha=0
check 2 "--seconds=-1 is not between" producer_consumer --seconds=-1
check 2 "no benchmark matches" paths_benchmark --benchmark_filter=nothing

exit $failed
