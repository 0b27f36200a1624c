#!/bin/sh
# `signal_test.sh LIBHAKMEM PROGRAM`: what a signal handler that allocates does to the call that it interrupts.
hakmem=$(readlink -f "$1")
program=$2
status=0
damaged() {
  library=$1
  shift
  out=$(LD_PRELOAD=$library HAKMEM_ON_ERROR=abort timeout 100 "$program" "$@" 2>/dev/null) || { echo "$*: failed"; exit 1; }
  points=$(echo "$out" | sed 's/points \([0-9]*\) .*/\1/')
  count=$(echo "$out" | sed 's/.* damaged //')
}
# at_most LIMIT|other ARGUMENTS…: hakmem's damaged points; "other" stands for those of the C library's malloc.
at_most() {
  limit=$1
  shift
  if [ "$limit" = other ]; then
    damaged "" "$@"
    limit=$count
  fi
  damaged "$hakmem" "$@"
  echo "$*: $count of $points points damaged, at most $limit"
  [ "$count" -le "$limit" ] || status=1
}
# A handler that uses blocks of another size class: no harm at any point of the hit paths, nor of a refill.
at_most 0 malloc 64 keeps 200
at_most 0 malloc 64 frees 200
at_most 0 free 64 keeps 200
at_most 0 free 64 frees 200
at_most 0 refill 5000 keeps 64
at_most 0 refill 5000 frees 64
# Of the same class: harm between malloc's reading of a list's head and its writing, and nowhere in free.
at_most other malloc 64 keeps 64
at_most 4 malloc 64 keeps 64
at_most 4 malloc 64 frees 64
at_most 0 free 64 keeps 64
at_most 0 free 64 frees 64
exit $status
