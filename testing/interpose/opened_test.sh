#!/bin/sh
# `opened_test.sh PROGRAM LIBRARY`: dlopen(3) of libhakmem.so, several times, as address space is laid out anew each time.
for round in 1 2 3 4 5; do
  timeout 30 "$1" "$2" >"$TEST_TMPDIR/out" || { echo "round $round: status $?"; exit 1; }
  grep -qx 'opened, used and closed' "$TEST_TMPDIR/out" || exit 1
done
