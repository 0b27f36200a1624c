#!/bin/sh
# Runs a program several times, as threads meet differently each time, and looks for its last word:
# `repeated.sh TIMES WORD LIBRARY|- PROGRAM ARGS…`. `-` preloads nothing.
times=$1
word=$2
library=$3
shift 3
[ "$library" = - ] && library= || library=$(readlink -f "$library")
while [ "$times" -gt 0 ]; do
  LD_PRELOAD=$library timeout 60 "$@" >"$TEST_TMPDIR/out" 2>"$TEST_TMPDIR/err"
  status=$?
  if [ $status -ne 0 ] || [ "$(tail -n 1 "$TEST_TMPDIR/out")" != "$word" ] || [ -s "$TEST_TMPDIR/err" ]; then
    echo "status $status, with $times runs to go"
    cat "$TEST_TMPDIR/out" "$TEST_TMPDIR/err"
    exit 1
  fi
  times=$((times - 1))
done
